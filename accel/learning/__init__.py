"""Learning: from a rollout to new weights, on one device.

Knows models, algorithms, replay and the other learners; knows no environment, actor, configuration
or logging. Start with `learner.py` (one update) and `replay_learner.py`, then `flat.py` (where the
weights live) and `optimizers.py`. How several learn together stands in `sync.py`, without waiting
for each other in `async_.py`.
"""

from accel.learning.allocator import keep_freed_memory
from accel.learning.denormals import flushed_denormals
from accel.learning.device import prepare_device
from accel.learning.finite import NonFiniteLoss, check_weights
from accel.learning.flat import FlatParameters
from accel.learning.learner import Learner, build_learner
from accel.learning.optimizers import Adam, RMSProp, build_optimizer
from accel.learning.precision import resolve_precision

__all__ = [
    "Adam",
    "FlatParameters",
    "Learner",
    "NonFiniteLoss",
    "RMSProp",
    "build_learner",
    "build_optimizer",
    "check_weights",
    "flushed_denormals",
    "keep_freed_memory",
    "prepare_device",
    "resolve_precision",
]
