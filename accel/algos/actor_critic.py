"""The samples an actor-critic algorithm learns from, and how they are cut into minibatches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from accel.algos.ranks import ALONE, Ranks
from accel.algos.returns import gae
from accel.algos.rollout_samples import (
    RolloutSamples,
    flat_fields,
    learner_view,
    reweighted,
    shuffled,
)
from accel.types import Rollout


@dataclass(frozen=True)
class Batch(RolloutSamples):
    """Samples of a rollout with what a policy gradient needs besides."""

    log_probs: Tensor  # [N] float32: the behavior policy's, of the taken action
    advantages: Tensor  # [N] float32


def prepare_batch(
    rollout: Rollout,
    *,
    discount: float,
    gae_lambda: float,
    terminal_on_life_loss: bool,
    clip_rewards: bool,
) -> Batch:
    """Flatten a rollout into samples; for the last two settings see `learner_view`."""
    rewards, terminated = learner_view(
        rollout, terminal_on_life_loss=terminal_on_life_loss, clip_rewards=clip_rewards
    )
    advantages, returns = gae(
        rewards, rollout.values, terminated, rollout.truncated, discount, gae_lambda
    )
    taken = rollout.log_probs.gather(2, rollout.actions.unsqueeze(2)).squeeze(2)
    return Batch(
        **flat_fields(rollout, returns),
        log_probs=taken.flatten(),
        advantages=advantages.flatten(),
    )


def shuffled_minibatches(
    batch: Batch,
    num_minibatches: int,
    normalize_advantages: bool,
    generator: Generator,
    ranks: Ranks = ALONE,
) -> Iterator[Batch]:
    """Yield one epoch of shuffled minibatches.

    Advantages are normalized per minibatch, as in CleanRL and OpenAI baselines.
    """
    for samples in shuffled(batch, num_minibatches, generator, ranks):
        yield as_minibatch(samples, normalize_advantages, ranks)


def as_minibatch(samples: Batch, normalize_advantages: bool, ranks: Ranks = ALONE) -> Batch:
    """Give `samples` the weights, and if asked for the advantages, of a minibatch of its own."""
    samples = reweighted(samples, ranks)
    if not normalize_advantages:
        return samples
    return replace(samples, advantages=normalize(samples.advantages, samples.weights, ranks))


def normalize(advantages: Tensor, weights: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """Shift and scale to mean 0 and standard deviation 1 over all ranks' samples with a weight.

    The deviation is the unbiased one, as `Tensor.std` gives; a single valid sample becomes 0.
    """
    count = (weights > 0).sum()
    mean, count = ranks.total(torch.stack([(advantages * weights).sum(), count])).unbind()
    centered = advantages - mean
    variance = ranks.total((centered.square() * weights).sum()) * count / (count - 1).clamp(min=1)
    return centered / (variance.sqrt() + 1e-8)
