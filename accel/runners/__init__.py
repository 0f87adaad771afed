"""The visible loops: build the parts of a run from its config, go round, log, checkpoint, stop.

The only room that knows every other. Start at `train.py`; `evaluate_run.py`, `play_run.py` and
`plot_runs.py` are what the other commands of `launch` do. `cli.py` is what all of them share:
composing the config and telling a user's mistakes from failures.
"""
