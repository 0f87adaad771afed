"""Samples of a whole rollout: how they are seen, weighted and dealt into minibatches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Generator, Tensor

from accel.algos.moments import moments
from accel.algos.ranks import ALONE, Ranks
from accel.algos.samples import Samples
from accel.algos.shuffling import deal
from accel.types import Rollout

# A rank's part of a minibatch is filled up, for CUDA graphs, to a multiple of this share of its
# mean size, or of the mean's root if that is more. A part's standard deviation is less than that
# root, so sizes are few, of a handful of columns too.
_GRAIN = 1 / 8


@dataclass(frozen=True)
class RolloutSamples(Samples):
    """N = T * B samples for a whole rollout, less for a minibatch or a piece of one.

    Each stands alone, unless a recurrent network has acted or the algorithm needs its neighbors:
    then whole columns stay together, and samples are always [T, n] flattened, time-major.
    """

    time: Tensor  # [N] int64: row of the rollout
    env: Tensor  # [N] int64: column of the rollout
    actions: Tensor  # [N] int64
    values: Tensor  # [N] float32: the estimates at the time of acting
    returns: Tensor  # [N] float32: targets of the values
    weights: Tensor  # [N] float32: 1 / (valid samples of the minibatch), 0 on invalid steps
    num_envs: int  # columns of the rollout that the samples come from
    steps_together: int  # 1, or rows of a column (T; T + 1 with the bootstrap) that is never cut

    @property
    def num_units(self) -> int:
        """Samples, or columns, that can be dealt."""
        return len(self) // self.steps_together

    def take(self: Dealt, units: Tensor) -> Dealt:
        """Return the samples, or the whole columns, at `units` [m] int64."""
        rows = torch.arange(self.steps_together, device=units.device).unsqueeze(1)
        return self.select((rows * self.num_units + units).flatten())

    def split(self: Dealt, max_samples: int | None) -> list[Dealt]:
        """Cut into pieces of at most `max_samples` (None: no limit), but no column."""
        if self.steps_together == 1:
            return super().split(max_samples)
        if max_samples is None:
            return [self]
        num_pieces = -(-self.num_units // max(1, max_samples // self.steps_together))
        units = torch.arange(self.num_units, device=self.weights.device)
        return [self.take(part) for part in units.tensor_split(max(1, num_pieces))]


Dealt = TypeVar("Dealt", bound=RolloutSamples)


class RawSteps(Protocol):
    """Steps as the game gave them: of a rollout, or of sequences read from a replay."""

    rewards: Tensor  # [T, B] float32
    terminated: Tensor  # [T, B] bool
    life_lost: Tensor  # [T, B] bool


@dataclass(frozen=True)
class View:
    """How a learner sees raw steps."""

    terminal_on_life_loss: bool = False  # a lost life is an episode's end
    clip_rewards: bool = False  # of a reward only the sign is kept

    def __call__(self, steps: RawSteps) -> tuple[Tensor, Tensor]:
        """Return (rewards [T, B] float32, terminated [T, B] bool); `steps` are not changed."""
        rewards = steps.rewards.sign() if self.clip_rewards else steps.rewards
        terminated = steps.terminated
        if self.terminal_on_life_loss:
            terminated = terminated | steps.life_lost
        return rewards, terminated


RAW = View()  # as the game gave them


def flat_fields(rollout: Rollout, returns: Tensor) -> dict[str, Any]:
    """Return the fields of `RolloutSamples` for all steps of a rollout with `returns` [T, B]."""
    num_steps, num_envs = rollout.actions.shape
    device = rollout.actions.device
    rows = torch.arange(num_steps, device=device).unsqueeze(1).expand(num_steps, num_envs)
    columns = torch.arange(num_envs, device=device).expand(num_steps, num_envs)
    return {
        "time": rows.flatten(),
        "env": columns.flatten(),
        "actions": rollout.actions.flatten(),
        "values": rollout.values[:-1].flatten(),
        "returns": returns.flatten(),
        "weights": mean_weights(rollout.valid.flatten()),
        "num_envs": num_envs,
        "steps_together": 1 if rollout.state is None else num_steps,
    }


def mean_weights(valid: Tensor, count: Tensor | None = None) -> Tensor:
    """Return weights [N] float32 that turn weighted sums into the mean over `valid` [N] bool.

    With `count`, the valid samples of all ranks, it is their mean: sums added up over the ranks.
    """
    return valid / (valid.sum() if count is None else count).clamp(min=1)


def reweighted(parts: Iterable[Dealt], ranks: Ranks = ALONE) -> Iterator[Dealt]:
    """Give each of `parts` the weights of a minibatch of its own, in one exchange for all."""
    parts = list(parts)
    valid = [part.weights > 0 for part in parts]
    counts = ranks.total(torch.stack([each.sum() for each in valid]))
    for part, ours, count in zip(parts, valid, counts):
        yield replace(part, weights=mean_weights(ours, count))


def shuffled(
    batch: Dealt, num_minibatches: int, generator: Generator, ranks: Ranks = ALONE
) -> Iterator[Dealt]:
    """Yield one epoch: every sample once, in random order, in nearly equal parts.

    Of a recurrent network's rollout whole columns are dealt, as in CleanRL's PPO with an LSTM.
    Minibatches do not depend on the number of ranks: each yields what it holds of them, see `deal`.
    The weights are still those of the whole batch.
    """
    on_gpu = batch.weights.is_cuda
    multiple = grain(batch.num_units / num_minibatches)
    for units in deal(batch.num_units, batch.num_envs, num_minibatches, generator, ranks):
        # From pinned memory the copy does not wait for the GPU.
        source = units.pin_memory() if on_gpu else units
        ours = source.to(batch.weights.device, non_blocking=True)
        yield filled_up(batch, ours, multiple) if on_gpu and ranks.size > 1 else batch.take(ours)


def grain(mean_size: float) -> int:
    """What the sizes of a rank's parts of minibatches are made multiples of."""
    return math.ceil(max(mean_size * _GRAIN, mean_size**0.5))


def filled_up(batch: Dealt, units: Tensor, multiple: int) -> Dealt:
    """Take `units` [m] int64, then others without weight, to a multiple of `multiple` in all."""
    missing = -len(units) % multiple
    samples = batch.take(torch.cat([units, units.new_zeros(missing)]))
    weights = samples.weights.view(batch.steps_together, -1)
    weights[:, len(units) :] = 0
    return samples


def explained_variance(batch: RolloutSamples, ranks: Ranks = ALONE) -> Tensor:
    """Return 1 - Var[returns - values] / Var[returns] over valid samples: 1 is perfect, <= 0 poor.

    Not a number where the returns do not vary.
    """
    columns = [batch.returns - batch.values, batch.returns]
    residual, returns = moments(columns, [batch.weights > 0] * 2, ranks).variance
    return 1 - residual / returns
