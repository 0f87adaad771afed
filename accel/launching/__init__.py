"""Launching: a machine divided among processes, and the processes watched.

Knows processes, cores and GPUs, and of a run its folder alone: no torch, no training. The learners
of one job: `ranks.py`. One experiment per GPU: `slots.py` (who gets what), then `sweep.py` (the
loop); `launcher.py` is where Hydra comes in.
"""
