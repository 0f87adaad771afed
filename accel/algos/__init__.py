"""Algorithms: what to learn from a rollout, as pure tensor functions and small frozen records.

Knows no process, configuration, model, optimizer or logging. Start with `returns.py`, then
`rollout_samples.py` and `actor_critic.py` (what algorithms learn from), then `a2c.py`, `ppo.py`,
`impala.py` and `pqn.py`. `q_samples.py` is what `dqn.py`, `c51.py` and `quantile.py` learn from:
replayed steps; `r2d2.py` learns from sequences of them.
"""

from accel.algos.a2c import A2C
from accel.algos.actor_critic import Batch
from accel.algos.c51 import C51
from accel.algos.dqn import DQN
from accel.algos.impala import IMPALA
from accel.algos.munchausen import Munchausen
from accel.algos.ppo import PPO
from accel.algos.pqn import PQN
from accel.algos.q_samples import QAlgorithm, QSamples
from accel.algos.quantile import QuantileRegression
from accel.algos.r2d2 import R2D2, Steps
from accel.algos.ranks import ALONE, Ranks
from accel.algos.rollout_algorithm import RolloutAlgorithm
from accel.algos.rollout_samples import RolloutSamples, View
from accel.algos.schedules import Constant, Linear, Schedule, WarmedUp, build_schedule

__all__ = [
    "A2C",
    "ALONE",
    "C51",
    "DQN",
    "IMPALA",
    "PPO",
    "PQN",
    "R2D2",
    "Batch",
    "Constant",
    "Linear",
    "Munchausen",
    "QAlgorithm",
    "QSamples",
    "QuantileRegression",
    "Ranks",
    "RolloutAlgorithm",
    "RolloutSamples",
    "Schedule",
    "Steps",
    "View",
    "WarmedUp",
    "build_schedule",
]
