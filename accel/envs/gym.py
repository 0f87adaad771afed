"""Any Gymnasium environment with discrete actions, behind the small interface `AtariEnv` has."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import EzPickle

from accel.types import EnvSpec


class UnknownEnvironment(ValueError):
    """Gymnasium cannot make an environment of that name."""


class UnsupportedSpace(ValueError):
    """The environment's actions or observations are of a kind this system has no policy for."""


class UnsavableEnvironment(RuntimeError):
    """The environment's state cannot be written down, so a run cannot resume inside an episode."""


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

        `seed` is used at the first reset alone; later episodes go on with the same generator.

        Raises:
            UnknownEnvironment: Gymnasium does not know the id, or cannot import what it needs.
            UnsupportedSpace: the actions are not Discrete or the observations not a Box.
        """
        self._game = game
        self._seed = seed
        self._is_seeded = False
        self._env = _make(game)
        self._first_action = int(_discrete(game, self._env.action_space).start)
        self.spec = _env_spec(game, self._env, frame_stack)
        self.life_lost = False
        self._clear()

    def reset(self, frame_out: np.ndarray) -> None:
        """Start an episode and write its first frame into `frame_out` [*frame_shape]."""
        frame_out[...], _ = self._env.reset(seed=None if self._is_seeded else self._seed)
        self._is_seeded = True
        self._clear()

    def step(self, action: int, frame_out: np.ndarray) -> None:
        """Take `action`, in [0, num_actions), and write the next frame into `frame_out`."""
        frame_out[...], reward, terminated, truncated, _ = self._env.step(
            int(action) + self._first_action
        )
        self.reward = float(reward)
        self.terminated = bool(terminated)
        self.truncated = bool(truncated)

    def state_dict(self) -> dict[str, Any]:
        """Return the environment, wrappers and generator included, as one pickle.

        Raises:
            UnsavableEnvironment: it does not pickle, or its pickle leaves the state out.
        """
        _refuse_stateless_pickle(self._game, self._env)
        try:
            pickled = pickle.dumps(self._env)
        except Exception as error:  # whatever the environment's own objects raise
            raise UnsavableEnvironment(f"{_unsavable(self._game)} ({error})") from error
        last_step = (self.reward, self.terminated, self.truncated)
        return {"env": pickled, "is_seeded": self._is_seeded, "last_step": last_step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned; the next step equals the original's."""
        self._env.close()
        self._env = pickle.loads(state["env"])
        self._is_seeded = state["is_seeded"]
        self.reward, self.terminated, self.truncated = state["last_step"]

    def close(self) -> None:
        """Free what the environment holds."""
        self._env.close()

    def _clear(self) -> None:
        self.reward = 0.0
        self.terminated = False
        self.truncated = False


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


def _refuse_stateless_pickle(game: str, env: gymnasium.Env) -> None:
    """EzPickle writes down constructor arguments only: loading it would silently start afresh."""
    while True:
        if getattr(type(env), "__getstate__", None) is EzPickle.__getstate__:
            raise UnsavableEnvironment(
                f"{_unsavable(game)} ({type(env).__name__} pickles its constructor arguments only)"
            )
        if not isinstance(env, gymnasium.Wrapper):
            return
        env = env.env


def _unsavable(game: str) -> str:
    return f"{game}: the environment's state cannot be saved, so its episodes cannot be resumed"
