"""Policies: from observations to actions, with the whole behavior distribution.

Knows models; knows no environment, process or algorithm. Randomness comes in as an argument, so a
policy has no state of its own. Start with `categorical.py`.
"""

from accel.policies.categorical import CategoricalPolicy, PolicyStep

__all__ = ["CategoricalPolicy", "PolicyStep"]
