"""The worker processes as a Gymnasium `VectorEnv`, for users of other libraries."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from accel.envs.batch import EnvRecipe
from accel.envs.games import UnknownGame, resolve_game
from accel.sampling.layout import enough_workers, rollout_fields
from accel.sampling.stepping import RESET, probe_spec
from accel.sampling.workers import Workers


class WorkerVectorEnv(VectorEnv):
    """B environments in worker processes, observations stacked, NEXT_STEP autoreset.

    Observations are [B, K, *frame], oldest frame first ([B, *frame] if K is 1); an episode's start
    is padded with its first frame, as `FrameStackObservation` does. When an episode ends, `infos`
    holds its raw score and length as `RecordEpisodeStatistics` does: infos["episode"]["r"] and
    ["l"], valid where infos["_episode"]. infos["life_lost"] says where a life was lost.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self,
        recipe: EnvRecipe,
        num_envs: int,
        *,
        num_workers: int,
        seed: int = 0,
        copy: bool = True,
        timeout_s: float = 10.0,
    ) -> None:
        """Start the workers. With `copy` false, observations are one buffer, reused every step."""
        self._spec = spec = probe_spec(recipe)
        self.num_envs = num_envs
        self.single_action_space = Discrete(spec.num_actions)
        self.single_observation_space = _observation_space(spec.frame_stack, spec)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._copy = copy
        self._stack = np.zeros((num_envs, spec.frame_stack, *spec.frame_shape), spec.frame_dtype)
        self._workers = Workers(
            recipe,
            rollout_fields(spec, 1, num_envs, slots=1),
            [slice(0, num_envs)],
            num_workers=num_workers,
            seed=seed,
            timeout_s=timeout_s,
        )
        shared = self._workers.arrays
        self._step = {
            name: shared[name][0, 0]
            for name in ("actions", "rewards", "terminated", "truncated", "life_lost")
        }
        self._first_frames = shared["frames"][0, spec.frame_stack - 1]
        self._frames = shared["frames"][0, spec.frame_stack]
        self._age = shared["age"][0, 1]
        self._returns, self._lengths = shared["episodic_return"], shared["episodic_length"]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start all games, from `seed` if it is given; `options` are not used."""
        if seed is not None:
            self._workers.seed(seed)
        self._workers.release(0, 0, RESET)
        self._workers.wait(0)
        self._stack[:] = self._first_frames[:, None]
        return self._observations(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step every environment with `actions` [B]; see the class for what comes back."""
        self._step["actions"][:] = actions
        self._workers.release(0, 0, 0)
        self._workers.wait(0)
        self._push_frames()
        rewards = self._step["rewards"].astype(np.float64)
        terminated, truncated = self._step["terminated"].copy(), self._step["truncated"].copy()
        return self._observations(), rewards, terminated, truncated, self._infos()

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the workers."""
        self._workers.close()

    def _push_frames(self) -> None:
        self._stack[:, :-1] = self._stack[:, 1:]
        self._stack[:, -1] = self._frames
        for i in np.flatnonzero(self._age == 0):
            self._stack[i] = self._frames[i]

    def _observations(self) -> np.ndarray:
        stack = self._stack if self._spec.frame_stack > 1 else self._stack[:, 0]
        return stack.copy() if self._copy else stack

    def _infos(self) -> dict[str, Any]:
        infos: dict[str, Any] = {
            "life_lost": self._step["life_lost"].copy(),
            "_life_lost": np.ones(self.num_envs, bool),
        }
        ended = self._step["terminated"] | self._step["truncated"]
        if ended.any():
            infos["episode"] = {
                "r": np.where(ended, self._returns, 0.0),
                "l": np.where(ended, self._lengths, 0),
                "_r": ended,
                "_l": ended,
            }
            infos["_episode"] = ended
        return infos


def make_vector(
    game: str,
    num_envs: int = 8,
    *,
    num_workers: int | None = None,
    seed: int = 0,
    copy: bool = True,
    timeout_s: float = 10.0,
    **options: Any,
) -> WorkerVectorEnv:
    """Build a `VectorEnv` of an Atari game by any of its names, or of a Gymnasium id.

    Args:
        num_workers: processes, at most `num_envs`; None: as many usable cores as shorten a step.
        options: keyword arguments of `AtariEnv` or `GymEnv` (frame_stack is 4 or 1 by default).

    Raises:
        ValueError: an unknown game, or more workers than environments.
    """
    try:
        recipe = EnvRecipe("atari", resolve_game(game), options)
    except UnknownGame as error:
        try:
            recipe = EnvRecipe("gym", game, {"frame_stack": 1, **options})
            probe_spec(recipe)
        except ValueError:
            raise error from None
    if num_workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        num_workers = enough_workers(num_envs, cores or 1)
    return WorkerVectorEnv(
        recipe, num_envs, num_workers=num_workers, seed=seed, copy=copy, timeout_s=timeout_s
    )


def _observation_space(frame_stack: int, spec: Any) -> Box:
    shape = spec.frame_shape if frame_stack == 1 else (frame_stack, *spec.frame_shape)
    if spec.frame_dtype == "uint8":
        return Box(0, 255, shape, np.uint8)
    return Box(-np.inf, np.inf, shape, np.dtype(spec.frame_dtype).type)
