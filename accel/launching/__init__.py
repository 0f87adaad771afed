"""One experiment per GPU: a machine divided into slots, and a sweep's jobs run over them.

Knows processes, cores and GPUs, and of a run its folder alone: no torch, no training. Start at
`slots.py` (who gets what), then `sweep.py` (the loop); `launcher.py` is where Hydra comes in.
"""
