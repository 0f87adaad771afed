"""Numbers that belong to a switch: its paper changed them along with it, a user may not have.

An algorithm's yaml brings its own numbers. A switch turned on by hand (algo=dqn
algo.munchausen=true) leaves those of the algorithm behind it, and should be told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from accel.config.errors import Problem
from accel.config.machine import Machine
from accel.config.schema import Config, DQNConfig, R2D2Config

_BATCH = 32  # samples of an optimizer step in all of these papers


@dataclass(frozen=True)
class _Tie:
    """`algo.<switch>=<on>` was introduced with each of `most`, or less."""

    switch: str
    on: object
    most: dict[str, float]  # fields of algo
    source: str


_TIES = (
    _Tie("munchausen", True, {"learning_rate": 5e-5}, "Vieillard et al. 2020: Adam"),
    _Tie("distribution", "quantile", {"learning_rate": 5e-5}, "Dabney et al. 2018a: Adam"),
    _Tie("distribution", "implicit", {"learning_rate": 5e-5}, "Dabney et al. 2018b: Adam"),
    _Tie(
        "prioritized",
        True,
        {"learning_rate": 6.25e-5},
        "Schaul et al. 2016: a quarter of DQN's, for the larger errors that are drawn",
    ),
    _Tie(
        "noisy",
        True,
        {"epsilon_initial": 0.0, "epsilon_final": 0.0},
        "Fortunato et al. 2018: the noise explores alone",
    ),
)


def paper_rules(config: Config, machine: Machine) -> Iterator[Problem]:
    """Warn of switches whose papers have lower numbers than this run; r2d2's paper has its own."""
    algo = config.algo
    if not isinstance(algo, DQNConfig) or isinstance(algo, R2D2Config):
        return
    for tie in _TIES:
        limits = {key: _at_batch(key, value, algo.batch_size) for key, value in tie.most.items()}
        high = [key for key, limit in limits.items() if getattr(algo, key) > 1.001 * limit]
        if getattr(algo, tie.switch) == tie.on and high:
            settings = " ".join(f"algo.{key}={limits[key]:.3g}" for key in high)
            yield Problem(
                f"algo.{tie.switch}",
                tie.on,
                f"was published with lower numbers ({tie.source})",
                f"{settings}, unless yours are tuned",
                ", ".join(_numbers(config, tie, key, limits[key]) for key in high),
                severity="warning",
            )


def _at_batch(key: str, value: float, batch_size: int) -> float:
    """A learning rate of batches of 32 grows by the root of the batch, as in eps_rainbow_512."""
    return value * math.sqrt(batch_size / _BATCH) if key == "learning_rate" else value


def _numbers(config: Config, tie: _Tie, key: str, limit: float) -> str:
    here = f"algo.{key}={getattr(config.algo, key):g} here, {tie.most[key]:g} there"
    if limit == tie.most[key]:
        return here
    return f"{here} x sqrt({config.algo.batch_size} / {_BATCH}) = {limit:.3g}"
