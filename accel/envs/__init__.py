"""Environments: one game or many, stepped in place into arrays the caller owns.

Knows nothing of torch, policies, processes, shared memory or config objects. Start with `atari.py`
(one Atari game) or `gym.py` (any other environment), then `batch.py` (many of them as one).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accel.sampling.vector import WorkerVectorEnv


def make_vector(game: str, num_envs: int = 8, **settings: Any) -> WorkerVectorEnv:
    """A Gymnasium `VectorEnv` over worker processes; see `accel.sampling.vector.make_vector`.

    This room's only look at another: the name belongs here for users, the processes to `sampling`.
    """
    from accel.sampling.vector import make_vector

    return make_vector(game, num_envs, **settings)
