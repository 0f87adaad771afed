"""Launching: which cores and GPUs there are, and the processes that share them.

Knows no tensors: nothing here imports torch. Start with `ranks.py` (the learners of one job).
"""
