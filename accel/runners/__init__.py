"""The visible loops: build the parts of a run from its config, go round, log, checkpoint, stop.

The only room that knows every other. Start at `train.py`; `cli.py` is what all commands of `launch`
share: composing the config and telling a user's mistakes from failures.
"""
