"""Algorithms: what to learn from a rollout, as pure tensor functions and small frozen records.

Knows no process, configuration, model, optimizer or logging. Start with `returns.py`, then
`rollout_samples.py` and `actor_critic.py` (what algorithms learn from), then `a2c.py`, `ppo.py` and
`pqn.py`. Algorithms that replay old experience learn from `q_samples.py`.
"""

from accel.algos.a2c import A2C
from accel.algos.actor_critic import Batch
from accel.algos.ppo import PPO
from accel.algos.pqn import PQN
from accel.algos.q_samples import QSamples
from accel.algos.ranks import ALONE, Ranks
from accel.algos.rollout_algorithm import RolloutAlgorithm
from accel.algos.rollout_samples import RolloutSamples
from accel.algos.schedules import Constant, Linear, Schedule, build_schedule

__all__ = [
    "A2C",
    "ALONE",
    "PPO",
    "PQN",
    "Batch",
    "Constant",
    "Linear",
    "QSamples",
    "Ranks",
    "RolloutAlgorithm",
    "RolloutSamples",
    "Schedule",
    "build_schedule",
]
