"""Algorithms: what to learn from a rollout, as pure tensor functions and small frozen records.

Knows no process, configuration, model, optimizer or logging. Start with `returns.py`, then
`actor_critic.py` (the samples both algorithms learn from), then `a2c.py` and `ppo.py`.
"""

from accel.algos.a2c import A2C
from accel.algos.actor_critic import Batch, RolloutAlgorithm
from accel.algos.ppo import PPO
from accel.algos.ranks import ALONE, Ranks
from accel.algos.schedules import Constant, Linear, Schedule, build_schedule

__all__ = [
    "A2C",
    "ALONE",
    "PPO",
    "Batch",
    "Constant",
    "Linear",
    "Ranks",
    "RolloutAlgorithm",
    "Schedule",
    "build_schedule",
]
