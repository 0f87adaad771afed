"""Policies: from observations to actions, with the whole behavior distribution.

Knows models; knows no environment, process or algorithm. Randomness comes in as an argument, and so
does what a recurrent network remembers: a policy's only state is how much it explores. Start with
`step.py`, then `categorical.py` and `epsilon_greedy.py`.
"""

from accel.policies.categorical import CategoricalPolicy
from accel.policies.epsilon_greedy import EpsilonGreedyPolicy, Exploration, epsilon_ladder
from accel.policies.step import PolicyStep

__all__ = [
    "CategoricalPolicy",
    "EpsilonGreedyPolicy",
    "Exploration",
    "PolicyStep",
    "epsilon_ladder",
]
