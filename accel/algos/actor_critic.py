"""The samples an actor-critic algorithm learns from, and how they are cut into minibatches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Generator, Tensor

from accel.algos.ranks import ALONE, Ranks
from accel.algos.returns import gae
from accel.types import ActorCriticOutput, Rollout


@dataclass(frozen=True)
class Batch:
    """Samples, flat: N = T * B for a whole rollout, less for a minibatch or a piece of one.

    Invalid steps stay in with weight zero. So the shapes never depend on how many there are, which
    keeps compiled kernels and CUDA graphs reusable and needs no host-device sync to count them.
    """

    time: Tensor  # [N] int64: row of the rollout
    env: Tensor  # [N] int64: column of the rollout
    actions: Tensor  # [N] int64
    log_probs: Tensor  # [N] float32: the behavior policy's, of the taken action
    values: Tensor  # [N] float32: the estimates at the time of acting
    advantages: Tensor  # [N] float32
    returns: Tensor  # [N] float32: targets of the value function
    weights: Tensor  # [N] float32: 1 / (valid samples of the minibatch), 0 on invalid steps
    num_envs: int  # columns of the rollout that the samples come from

    def __len__(self) -> int:
        return self.weights.shape[0]

    def select(self, index: Tensor) -> Batch:
        """Return the samples at `index` [n] int64."""
        return Batch(*(column.index_select(0, index) for column in self._columns()), self.num_envs)

    def split(self, max_samples: int | None) -> list[Batch]:
        """Cut into the fewest nearly equal pieces of at most `max_samples` (None: no limit)."""
        if max_samples is None or len(self) <= max_samples:
            return [self]
        num_pieces = -(-len(self) // max_samples)
        columns = [column.tensor_split(num_pieces) for column in self._columns()]
        return [Batch(*piece, self.num_envs) for piece in zip(*columns)]

    def _columns(self) -> list[Tensor]:
        return [value for value in vars(self).values() if isinstance(value, Tensor)]


class RolloutAlgorithm(Protocol):
    """What a learner asks of an algorithm. Implementations hold settings only, no state."""

    num_epochs: int

    def prepare(self, rollout: Rollout) -> Batch:
        """Turn a rollout into samples with advantages and value targets."""

    def minibatches(
        self, batch: Batch, generator: Generator, ranks: Ranks = ALONE
    ) -> Iterator[Batch]:
        """Yield the minibatches of one epoch: of each, the samples that this rank holds."""

    def loss(
        self, output: ActorCriticOutput, samples: Batch, agent_steps: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its detached terms for the network's output on `samples` [n].

        Both are sums weighted by `samples.weights`: adding them up over the pieces of a minibatch
        and over all ranks gives the minibatch's means, and so does adding up the gradients.
        """

    def should_stop(self, metrics: dict[str, Tensor], ranks: Ranks = ALONE) -> bool:
        """Tell, from the metrics of an epoch's last minibatch, whether to skip further epochs."""

    def diagnose(self, batch: Batch, ranks: Ranks = ALONE) -> dict[str, Tensor]:
        """Further scalar metrics of the whole rollout."""


def prepare_batch(
    rollout: Rollout,
    *,
    discount: float,
    gae_lambda: float,
    terminal_on_life_loss: bool,
    clip_rewards: bool,
) -> Batch:
    """Flatten a rollout into samples. The rollout itself is not changed.

    `terminal_on_life_loss` treats a lost life as an episode's end and `clip_rewards` keeps only a
    reward's sign: both are this learner's view of raw data.
    """
    num_steps, num_envs = rollout.actions.shape
    device = rollout.actions.device
    rewards = rollout.rewards.sign() if clip_rewards else rollout.rewards
    terminated = rollout.terminated
    if terminal_on_life_loss:
        terminated = terminated | rollout.life_lost
    advantages, returns = gae(
        rewards, rollout.values, terminated, rollout.truncated, discount, gae_lambda
    )
    taken = rollout.log_probs.gather(2, rollout.actions.unsqueeze(2)).squeeze(2)
    rows = torch.arange(num_steps, device=device).unsqueeze(1).expand(num_steps, num_envs)
    columns = torch.arange(num_envs, device=device).expand(num_steps, num_envs)
    return Batch(
        time=rows.flatten(),
        env=columns.flatten(),
        actions=rollout.actions.flatten(),
        log_probs=taken.flatten(),
        values=rollout.values[:-1].flatten(),
        advantages=advantages.flatten(),
        returns=returns.flatten(),
        weights=mean_weights(rollout.valid.flatten()),
        num_envs=num_envs,
    )


def mean_weights(valid: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """Return weights [N] float32 that turn weighted sums, added up over ranks, into the mean.

    That is the mean over `valid` [N] of all ranks together.
    """
    return valid / ranks.total(valid.sum()).clamp(min=1)


def shuffled_minibatches(
    batch: Batch,
    num_minibatches: int,
    normalize_advantages: bool,
    generator: Generator,
    ranks: Ranks = ALONE,
) -> Iterator[Batch]:
    """Yield one epoch: every sample once, in random order, in nearly equal minibatches.

    All ranks draw the same order of the global batch from equal generators (on the CPU) and keep
    what they hold of each minibatch, so minibatches do not depend on the number of ranks.
    Advantages are normalized per minibatch, as in CleanRL and OpenAI baselines.
    """
    order = torch.randperm(len(batch) * ranks.size, generator=generator)
    for index in order.tensor_split(num_minibatches):
        ours = _held_by(ranks, index, batch.num_envs)
        if batch.weights.is_cuda:  # from pinned memory the copy does not wait for the GPU
            ours = ours.pin_memory().to(batch.weights.device, non_blocking=True)
        yield as_minibatch(batch.select(ours), normalize_advantages, ranks)


def _held_by(ranks: Ranks, index: Tensor, num_envs: int) -> Tensor:
    """The samples of the global batch [T, size * B] at `index` that this rank's [T, B] holds."""
    if ranks.size == 1:
        return index
    all_envs = ranks.size * num_envs
    column = index % all_envs - ranks.rank * num_envs
    is_ours = (column >= 0) & (column < num_envs)
    return (index // all_envs * num_envs + column)[is_ours]


def as_minibatch(samples: Batch, normalize_advantages: bool, ranks: Ranks = ALONE) -> Batch:
    """Give `samples` the weights, and if asked for the advantages, of a minibatch of its own."""
    weights = mean_weights(samples.weights > 0, ranks)
    advantages = samples.advantages
    if normalize_advantages:
        advantages = normalize(advantages, weights, ranks)
    return replace(samples, advantages=advantages, weights=weights)


def normalize(advantages: Tensor, weights: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """Shift and scale to mean 0 and standard deviation 1 over all ranks' samples with a weight.

    The deviation is the unbiased one, as `Tensor.std` gives; a single valid sample becomes 0.
    """
    count = (weights > 0).sum()
    mean, count = ranks.total(torch.stack([(advantages * weights).sum(), count])).unbind()
    centered = advantages - mean
    variance = ranks.total((centered.square() * weights).sum()) * count / (count - 1).clamp(min=1)
    return centered / (variance.sqrt() + 1e-8)


def explained_variance(batch: Batch, ranks: Ranks = ALONE) -> Tensor:
    """Return 1 - Var[returns - values] / Var[returns] over valid samples: 1 is perfect, <= 0 poor.

    Not a number where the returns do not vary.
    """
    weights = mean_weights(batch.weights > 0, ranks)
    residual = _variance(batch.returns - batch.values, weights, ranks)
    return 1 - residual / _variance(batch.returns, weights, ranks)


def _variance(samples: Tensor, weights: Tensor, ranks: Ranks) -> Tensor:
    mean = ranks.total((samples * weights).sum())
    return ranks.total(((samples - mean).square() * weights).sum())
