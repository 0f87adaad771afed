"""Pictures of Gymnasium environments, for films."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np


class UnwatchableEnvironment(ValueError):
    """The environment draws no pictures."""


def make_watched(game: str, show: Callable[[np.ndarray], None]) -> gymnasium.Env:
    """Make `game` so that it calls `show` with a picture after every reset and step.

    A picture is [height, width, 3] uint8.

    Raises:
        UnwatchableEnvironment: it has no render_mode "rgb_array", or what it draws with is missing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is raised below
            env = gymnasium.make(game, disable_env_checker=True, render_mode="rgb_array")
        modes = env.metadata.get("render_modes") or []
        if "rgb_array" not in modes:
            has = f"only {', '.join(modes)}" if modes else "none"
            raise UnwatchableEnvironment(
                f"{game} cannot be filmed: it has no render_mode rgb_array ({has})"
            )
        env.reset(seed=0)
        env.render()
    except (gymnasium.error.Error, ImportError) as error:  # pygame, say, is not installed
        raise UnwatchableEnvironment(f"{game} cannot be filmed: {error}") from error
    return _Watched(env, show)


class _Watched(gymnasium.Wrapper):
    def __init__(self, env: gymnasium.Env, show: Callable[[np.ndarray], None]) -> None:
        super().__init__(env)
        self._show = show

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        result = self.env.reset(**options)
        self._show(self.env.render())
        return result

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        result = self.env.step(action)
        self._show(self.env.render())
        return result
