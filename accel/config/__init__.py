"""What a run is made of: the schema of every setting, its checks, and what follows from it.

Only `runners` and `launch` read configs; every other room receives plain arguments, so nothing here
may be imported from them, and nothing here imports torch unless a CUDA device is asked for.
Start at `schema.py`, then `derive.py` (resolved values) and `validate.py` (every rule).
"""
