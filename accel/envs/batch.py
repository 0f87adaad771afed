"""B environments stepped in place: the whole of what a worker process does per step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accel.envs.atari import AtariEnv
from accel.envs.gym import GymEnv
from accel.types import EnvSpec

Env = AtariEnv | GymEnv
# Where B environments write their frames, [*frame] of the frame dtype each, or pairs of raw
# screens: an array, or a list of views, which takes 0.1 us less each time than making the view.
Frames = Sequence[np.ndarray | tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class EnvRecipe:
    """How to build an environment; plain data, so that it travels to another process."""

    kind: str  # "atari" or "gym"
    game: str
    options: dict[str, Any] = field(default_factory=dict)  # keyword arguments of the env class

    def prepare(self) -> None:
        """Have compiled, or loaded, what its environments run; at most once in a process.

        For whoever steps them, before the first step, which may take seconds else. Whoever starts
        others that will does it first: they find the result on disk, where it can be kept there.
        """
        if self.kind == "atari" and not self.options.get("raw_screens"):
            from accel.envs import frame_kernel  # and with it numba, which nothing else needs

            frame_kernel.prepare()

    def build(self, seed: int) -> Env:
        """Build it with its own 31-bit `seed`."""
        if self.kind == "atari":
            return AtariEnv(self.game, seed=seed, **self.options)
        return GymEnv(self.game, seed=seed, **self.options)


def env_seed(seed: int, env_index: int) -> int:
    """31-bit seed of the environment with this global index: the same whatever the layout."""
    return int(np.random.SeedSequence((seed, env_index)).generate_state(1)[0] >> 1)


@dataclass(frozen=True)
class StepArrays:
    """Where one step of B environments is written; slices of a rollout or arrays of one's own."""

    frames: Frames  # the newest ones
    age: np.ndarray  # [B] int32: steps since the first frame of its episode
    rewards: np.ndarray  # [B] float32
    terminated: np.ndarray  # [B] bool
    truncated: np.ndarray  # [B] bool
    life_lost: np.ndarray  # [B] bool
    valid: np.ndarray  # [B] bool: false where this step was a reset


class EnvBatch:
    """Environments `first_index .. first_index + num_envs` of a run.

    Autoreset is Gymnasium's NEXT_STEP: the step after an episode's end ignores its action, resets,
    writes the next episode's first frame with reward 0, and is not valid for learning.

    `episodic_return` and `episodic_length` [B] (float64, int64) count the running whole game; after
    its last step they hold the final figures until the reset step clears them.
    """

    spec: EnvSpec

    def __init__(
        self,
        recipe: EnvRecipe,
        *,
        seed: int,
        num_envs: int,
        first_index: int = 0,
        decorrelation_steps: int = 0,
        episodic_return: np.ndarray | None = None,
        episodic_length: np.ndarray | None = None,
    ) -> None:
        """Build the environments.

        Args:
            seed: the run's seed; environment i is seeded by it and its global index alone.
            decorrelation_steps: each environment first plays a random number of random actions up
                to this many, so that games do not run in step (Stooke and Abbeel 2018, section 3).
            episodic_return, episodic_length: arrays [B] to count in; own ones when not given.
        """
        indices = range(first_index, first_index + num_envs)
        recipe.prepare()
        self._envs = [recipe.build(env_seed(seed, i)) for i in indices]
        self.spec = self._envs[0].spec
        self._start_rngs = [np.random.default_rng((seed, i, 1)) for i in indices]
        self._decorrelation_steps = decorrelation_steps
        self._age = np.zeros(num_envs, np.int32)
        self._needs_reset = [False] * num_envs
        returns = np.zeros(num_envs) if episodic_return is None else episodic_return
        lengths = np.zeros(num_envs, np.int64) if episodic_length is None else episodic_length
        self.episodic_return, self.episodic_length = returns, lengths

    def reset(self, frames: Frames, age: np.ndarray) -> None:
        """Start all games: first frames into `frames` (B of them), steps played into `age` [B]."""
        for i, env in enumerate(self._envs):
            self._start_game(i, frames[i])
            steps = self._decorrelation_steps
            for _ in range(self._start_rngs[i].integers(steps + 1) if steps else 0):
                env.step(self._start_rngs[i].integers(self.spec.num_actions), frames[i])
                self.episodic_return[i] += env.reward
                self.episodic_length[i] += 1
                if env.terminated or env.truncated:
                    self._start_game(i, frames[i])
        age[:] = self._age[:] = 0  # frames before this one are not kept: the stack starts here

    def step(self, actions: np.ndarray, out: StepArrays) -> None:
        """Step every environment with `actions` [B], writing what happened into `out`."""
        out.valid[:] = np.logical_not(self._needs_reset)
        for i, (env, action, frame) in enumerate(zip(self._envs, actions.tolist(), out.frames)):
            if self._needs_reset[i]:
                self._start_game(i, frame)
            else:
                env.step(action, frame)
        self._age += out.valid
        out.age[:] = self._age
        # One assignment an array, not one an environment: 1 us less for each environment.
        rewards = [env.reward for env in self._envs]
        out.rewards[:] = rewards
        out.terminated[:] = [env.terminated for env in self._envs]
        out.truncated[:] = [env.truncated for env in self._envs]
        out.life_lost[:] = [env.life_lost for env in self._envs]
        self.episodic_return += rewards  # not out.rewards: those are rounded to float32
        self.episodic_length += out.valid
        self._needs_reset = (out.terminated | out.truncated).tolist()

    def _start_game(self, i: int, frame: np.ndarray) -> None:
        self._envs[i].reset(frame)
        self._needs_reset[i] = False
        self._age[i] = 0
        self.episodic_return[i] = self.episodic_length[i] = 0

    def state_dict(self) -> list[dict[str, Any]]:
        """Everything the next step depends on, emulators and their generators included, by env."""
        return [
            {
                "env": env.state_dict(),
                "age": int(self._age[i]),
                "needs_reset": self._needs_reset[i],
                "episodic_return": float(self.episodic_return[i]),
                "episodic_length": int(self.episodic_length[i]),
            }
            for i, env in enumerate(self._envs)
        ]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Go on exactly where `state_dict` was taken."""
        for i, (env, state) in enumerate(zip(self._envs, states, strict=True)):
            env.load_state_dict(state["env"])
            self._age[i] = state["age"]
            self._needs_reset[i] = state["needs_reset"]
            self.episodic_return[i] = state["episodic_return"]
            self.episodic_length[i] = state["episodic_length"]

    def close(self) -> None:
        """Close every environment."""
        for env in self._envs:
            env.close()
