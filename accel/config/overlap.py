"""How far acting may run ahead of learning: the choices of `runner.policy_lag` and their cost."""

from __future__ import annotations

from collections.abc import Iterator

from accel.config.errors import Problem
from accel.config.gpu_sharing import excludes_others
from accel.config.learners import on_gpu
from accel.config.machine import Machine
from accel.config.schema import AlgoConfig, Config, DQNConfig, IMPALAConfig, PPOConfig

NUM_SLOTS = {"0": 1, "1": 2, "free": 3}  # rollouts in memory: read, written and, free, finished
_OFF_POLICY = (
    PPOConfig,
    IMPALAConfig,
    DQNConfig,
)  # correct for older weights, or learn from replay anyway


def resolve_policy_lag(config: Config, machine: Machine) -> tuple[str, str]:
    """Which of `NUM_SLOTS`, and the reason."""
    if config.runner.policy_lag is not None:
        return config.runner.policy_lag, "as set"
    if config.algo.asynchronous:
        return "0", "asynchronous learners overlap with each other"
    if not tolerates_lag(config.algo):
        return "0", f"{config.algo.name} learns from its present policy alone"
    if not on_gpu(config, machine):
        return "0", "acting and learning share the cores"
    if excludes_others(config, machine):
        return "0", "the GPU takes one process alone: compute mode EXCLUSIVE_PROCESS, and no MPS"
    return "1", "the GPU learns while the cores play"


def tolerates_lag(algo: AlgoConfig) -> bool:
    """Whether data of older weights is learned from correctly."""
    return isinstance(algo, _OFF_POLICY)


def lag_rules(config: Config, machine: Machine) -> Iterator[Problem]:
    """On-policy algorithms may be run with a lag, knowingly; asynchronous learners may not."""
    lag = config.runner.policy_lag
    if lag in (None, "0"):
        return
    if config.algo.asynchronous:
        rule = "must be 0 with algo.asynchronous: those learners overlap with each other"
        fix = "runner.policy_lag=0, or algo.asynchronous=false"
        yield Problem("runner.policy_lag", lag, rule, fix)
        return
    if tolerates_lag(config.algo):
        return
    yield Problem(
        "runner.policy_lag",
        lag,
        f"should be 0: algo={config.algo.name} takes what older weights did for what its present "
        "ones do, and its gradient is biased by it",
        "runner.policy_lag=0, or an algorithm that corrects for it: algo=ppo or algo=impala",
        severity="warning",
    )
