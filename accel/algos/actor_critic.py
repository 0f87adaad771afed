"""The samples an actor-critic algorithm learns from, and how they are cut into minibatches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from torch import Generator, Tensor

from accel.algos.moments import moments
from accel.algos.ranks import ALONE, Ranks
from accel.algos.returns import gae
from accel.algos.rollout_samples import (
    RolloutSamples,
    View,
    flat_fields,
    mean_weights,
    reweighted,
    shuffled,
)
from accel.types import Rollout


@dataclass(frozen=True)
class Batch(RolloutSamples):
    """Samples of a rollout with what a policy gradient needs besides."""

    log_probs: Tensor  # [N] float32: the behavior policy's, of the taken action
    advantages: Tensor  # [N] float32


def prepare_batch(rollout: Rollout, *, discount: float, gae_lambda: float, view: View) -> Batch:
    """Flatten a rollout into samples."""
    rewards, terminated = view(rollout)
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
    parts = shuffled(batch, num_minibatches, generator, ranks)
    return as_minibatches(parts, normalize_advantages, ranks)


def as_minibatches(
    parts: Iterable[Batch], normalize_advantages: bool, ranks: Ranks = ALONE
) -> Iterator[Batch]:
    """Give each of `parts` the weights, and if asked for the advantages, of its own minibatch.

    That is of all ranks' samples in it; one exchange serves all parts.
    """
    if not normalize_advantages:
        yield from reweighted(parts, ranks)
        return
    parts = list(parts)
    valid = [part.weights > 0 for part in parts]
    of_parts = moments([part.advantages for part in parts], valid, ranks)
    for part, ours, count, mean, variance in zip(parts, valid, *of_parts):
        yield replace(
            part,
            weights=mean_weights(ours, count),
            advantages=normalize(part.advantages, count, mean, variance),
        )


def normalize(advantages: Tensor, count: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Shift and scale to mean 0 and standard deviation 1, given the `Moments` of the minibatch.

    The deviation is the unbiased one, as `Tensor.std` gives; a single valid sample becomes 0.
    """
    unbiased = variance * count / (count - 1).clamp(min=1)
    return (advantages - mean) / (unbiased.sqrt() + 1e-8)
