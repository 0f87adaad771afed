"""Environments: one game or many, stepped in place into arrays the caller owns.

Knows nothing of torch, policies, processes, shared memory or config objects. Start with `atari.py`
(one Atari game) or `gym.py` (any other environment), then `batch.py` (many of them as one).
"""
