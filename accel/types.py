"""Records that cross a process or room border.

Tensor axes: T steps of a rollout, B environments, A actions, K stacked frames. Nothing here imports
torch, so environment workers start without paying for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class EnvSpec:
    """What every other room needs to know about one environment."""

    frame_shape: tuple[int, ...]  # one frame, e.g. (84, 84), or (4,) for a vector
    frame_dtype: str  # numpy name: "uint8", "float32", ...
    frame_stack: int  # K: frames that make one observation
    num_actions: int  # A
    frame_skip: int  # emulated frames per agent step; frames = agent_steps * frame_skip
    action_meanings: tuple[str, ...] = ()  # empty where the environment does not say
    # [2, height, width] uint8: raw screens that a frame can be made of; None: it has no others
    screen_shape: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Episode:
    """One finished whole game in its own score: never clipped, never cut at a lost life."""

    episodic_return: float
    episodic_length: int  # agent steps
    env_index: int  # global environment index


class Span(NamedTuple):
    """What one process did for a while, in a timeline."""

    track: str  # who: "learner", "actor, group 0", "worker 0", ...
    name: str  # what
    start_s: float  # of time.perf_counter(), which all processes of a machine share on Linux
    end_s: float


@dataclass
class Rollout:
    """T steps of B environments, time-major. On a CPU the tensors share memory with the workers.

    The observation at (t, b) has its newest frame in row K-1+t of `frames`; see
    `accel.models.frame_stack.stack_frames`. Reset is Gymnasium's NEXT_STEP mode: the step that ends
    an episode returns its true last frame, the following step ignores its action, returns the next
    episode's first frame and has `valid` false.
    """

    frames: Tensor  # [T + K, B, *frame] frame dtype; rows 0..K-2 history, last row bootstrap
    age: Tensor  # [T + 1, B] int32: agent steps since the episode's first frame
    actions: Tensor  # [T, B] int64
    rewards: Tensor  # [T, B] float32, raw
    terminated: Tensor  # [T, B] bool
    truncated: Tensor  # [T, B] bool
    life_lost: Tensor  # [T, B] bool
    valid: Tensor  # [T, B] bool: false on the autoreset step
    log_probs: Tensor  # [T, B, A] float32: the behavior policy's whole distribution
    values: Tensor  # [T + 1, B] float32
    policy_version: Tensor  # [T] int64: which weights acted
    state: Tensor | None = None  # [B, S] float32: recurrent state at the first row, if there is one


class ActorCriticOutput(NamedTuple):
    """What an actor-critic network says of n observations."""

    logits: Tensor  # [n, A] float32
    values: Tensor  # [n] float32


class QOutput(NamedTuple):
    """What an action-value network says of n observations. Always float32.

    The meaning of M is the algorithm's: 1 expected value, the logits of M atoms, or the values of M
    quantiles.
    """

    values: Tensor  # [n, A, M] float32
    taus: Tensor | None = None  # [n, M] float32 in (0, 1): the quantiles' fractions
