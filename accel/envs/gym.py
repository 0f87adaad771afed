"""Any Gymnasium environment with discrete actions, behind the small interface `AtariEnv` has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from accel.envs.pictures import make_watched
from accel.types import EnvSpec


class UnknownEnvironment(ValueError):
    """Gymnasium cannot make an environment of that name."""


class UnsupportedSpace(ValueError):
    """The environment's actions or observations are of a kind this system has no policy for."""


class GymEnv:
    """One environment made by `gymnasium.make`, stepped into arrays the caller owns.

    After `step`, the attributes `reward`, `terminated`, `truncated` and `life_lost` (always false:
    Gymnasium has no lives) tell what happened. A finished episode goes on only after `reset`.
    Frames of uint8 stay uint8, everything else is stored as float32.
    """

    spec: EnvSpec
    reward: float
    terminated: bool
    truncated: bool
    life_lost: bool

    def __init__(self, game: str, frame_stack: int, seed: int) -> None:
        """Make `game`, any id `gymnasium.make` takes: `CartPole-v1`, `my_module:MyEnv-v0`.

        Every episode is seeded by `seed` and its number, so that an episode can be played again.

        Raises:
            UnknownEnvironment: Gymnasium does not know the id, or cannot import what it needs.
            UnsupportedSpace: the actions are not Discrete or the observations not a Box.
        """
        self._game = game
        self._seed = seed
        self._num_episodes = 0  # started so far
        self._actions: list[int] = []  # taken in the present episode
        self._env = _make(game)
        self._first_action = int(_discrete(game, self._env.action_space).start)
        self.spec = _env_spec(game, self._env, frame_stack)
        self.life_lost = False
        self._clear()

    def reset(self, frame_out: np.ndarray) -> None:
        """Start an episode and write its first frame into `frame_out` [*frame_shape]."""
        self._num_episodes += 1
        self._actions.clear()
        frame_out[...], _ = self._env.reset(seed=self._episode_seed())
        self._clear()

    def step(self, action: int, frame_out: np.ndarray) -> None:
        """Take `action`, in [0, num_actions), and write the next frame into `frame_out`."""
        frame_out[...], reward, terminated, truncated, _ = self._env.step(
            int(action) + self._first_action
        )
        self._actions.append(int(action))
        self.reward = float(reward)
        self.terminated = bool(terminated)
        self.truncated = bool(truncated)

    def watch(self, show: Callable[[np.ndarray], None]) -> float:
        """Call `show` with a picture, [height, width, 3] uint8, after every reset and step.

        To be called before the first reset. Returns the pictures per second of real time.

        Raises:
            UnwatchableEnvironment: it has no render_mode "rgb_array".
        """
        self._env.close()
        self._env = make_watched(self._game, show)
        return float(self._env.metadata.get("render_fps", 30))

    def state_dict(self) -> dict[str, Any]:
        """The present episode's seed, number and actions: all it takes to play up to here again."""
        return {
            "seed": self._seed,
            "num_episodes": self._num_episodes,
            "actions": list(self._actions),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Play the saved episode again up to where `state_dict` was taken.

        Exact for an environment that its seed and its actions determine, and needs nothing of it:
        many environments cannot be pickled, and a pickle from a file could run any code.
        """
        self._seed, self._num_episodes = state["seed"], state["num_episodes"]
        self._actions = []
        self._clear()
        if self._num_episodes:
            self._env.reset(seed=self._episode_seed())
        frame = np.empty(self.spec.frame_shape, self.spec.frame_dtype)
        for action in state["actions"]:
            self.step(action, frame)

    def close(self) -> None:
        """Free what the environment holds."""
        self._env.close()

    def _episode_seed(self) -> int:
        return episode_seed(self._seed, self._num_episodes)

    def _clear(self) -> None:
        self.reward = 0.0
        self.terminated = False
        self.truncated = False


def episode_seed(seed: int, number: int) -> int:
    """Seed that `gymnasium.Env.reset` is given for episode `number`, counted from 1."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _make(game: str) -> gymnasium.Env:
    try:
        # The checker only warns, once per environment and process: noise in a worker's output.
        return gymnasium.make(game, disable_env_checker=True)
    except (gymnasium.error.Error, ImportError) as error:
        raise UnknownEnvironment(f"gymnasium.make({game!r}) failed: {error}") from error


def _env_spec(game: str, env: gymnasium.Env, frame_stack: int) -> EnvSpec:
    observations = env.observation_space
    if not isinstance(observations, Box):
        raise UnsupportedSpace(
            f"{game}: observations are {observations}, but only a Box (one array) can be stored; "
            "register a version of it wrapped in gymnasium.wrappers.FlattenObservation"
        )
    meanings = getattr(env.unwrapped, "get_action_meanings", tuple)()
    return EnvSpec(
        frame_shape=tuple(observations.shape) or (1,),
        frame_dtype="uint8" if observations.dtype == np.uint8 else "float32",
        frame_stack=frame_stack,
        num_actions=int(_discrete(game, env.action_space).n),
        frame_skip=1,
        action_meanings=tuple(meanings),
    )


def _discrete(game: str, actions: gymnasium.Space) -> Discrete:
    if not isinstance(actions, Discrete):
        raise UnsupportedSpace(
            f"{game}: actions are {actions}, but only Discrete(n) can be learned; choose a "
            "discrete version of it, or register one wrapped in "
            "gymnasium.wrappers.TransformAction that maps n numbered choices to its actions"
        )
    return actions
