"""The parts of `launch/benchmark.py`: what is timed, how rounds alternate, what is written down.

`stepping.py` and `sb3_training.py` run as scripts in processes of their own, where rivals need an
interpreter of their own too, and so import nothing of accel at the top. Start with `sampling.py`.
"""
