"""Policies: from observations to actions, with the whole behavior distribution.

Knows models; knows no environment, process or algorithm. Randomness comes in as an argument, so a
policy's only state is how much it explores. Start with `categorical.py`, then
`epsilon_greedy.py`.
"""

from accel.policies.categorical import CategoricalPolicy, PolicyStep
from accel.policies.epsilon_greedy import EpsilonGreedyPolicy, Exploration, epsilon_ladder

__all__ = [
    "CategoricalPolicy",
    "EpsilonGreedyPolicy",
    "Exploration",
    "PolicyStep",
    "epsilon_ladder",
]
