"""Sequences are unrolled from their stored state, warmed up without learning, cut into parts."""

from __future__ import annotations

import pytest
import torch

from accel.algos import R2D2, Steps, View
from accel.learning.replay_learner import target_network
from accel.learning.sequence_lesson import SequenceLesson
from accel.models import build_q_network
from accel.replay import Sequences

BURN_IN, LENGTH, N_STEP, COUNT = 3, 5, 2, 4
ROWS = BURN_IN + LENGTH + N_STEP
ALGORITHM = R2D2(n_step=N_STEP, discount=0.9)


@pytest.fixture
def batch() -> Sequences:
    generator = torch.Generator().manual_seed(0)
    shape = (ROWS, COUNT)

    def chance(probability: float) -> torch.Tensor:
        return torch.rand(shape, generator=generator) < probability

    return Sequences(
        observations=torch.randn(*shape, 1, 6, generator=generator),
        actions=torch.randint(0, 3, shape, generator=generator),
        rewards=3 * torch.randn(shape, generator=generator),
        terminated=chance(0.1),
        truncated=chance(0.1),
        life_lost=chance(0.2),
        valid=~chance(0.1),
        starts=chance(0.15),
        state=torch.randn(COUNT, 16, generator=generator),
    )


@pytest.fixture
def lesson() -> SequenceLesson:
    torch.manual_seed(1)
    model = build_q_network("mlp", (6,), 1, 3, 8, core="lstm", core_size=8, dueling=True)
    target = target_network(model)
    for parameter in target.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return SequenceLesson(model, target, ALGORITHM, BURN_IN)


def step_by_step(model, batch: Sequences, detach_at: int) -> torch.Tensor:
    """Values [L, n, A] one row after another, the state cut off from the gradient at a row."""
    state, values = batch.state, []
    for row in range(ROWS):
        state = state * (~batch.starts[row]).unsqueeze(1)
        if row == detach_at:
            state = state.detach()
        output, state = model.step(batch.observations[row], state)
        values.append(output.values.squeeze(2))
    return torch.stack(values)


def gradients(model, loss: torch.Tensor) -> list[torch.Tensor]:
    return [g for g in torch.autograd.grad(loss, list(model.parameters())) if g is not None]


def test_outcome_is_that_of_stepping_through_the_sequences(lesson, batch) -> None:
    weights = torch.tensor([0.25, 0.125, 0.2, 0.1])
    loss, priorities, _ = lesson.outcome(batch, weights, slice(None))
    rows = slice(BURN_IN, None)
    with torch.no_grad():
        target = step_by_step(lesson.target_model, batch, -1)[rows]
    online = step_by_step(lesson.model, batch, BURN_IN)[rows]
    steps = Steps(
        batch.actions[rows],
        batch.rewards[rows],
        batch.terminated[rows],
        batch.truncated[rows],
        batch.valid[rows],
    )
    expected, same_priorities, _ = ALGORITHM.loss(online, target, steps, weights)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(priorities, same_priorities)
    for ours, reference in zip(gradients(lesson.model, loss), gradients(lesson.model, expected)):
        torch.testing.assert_close(ours, reference, atol=1e-6, rtol=1e-4)


def test_parts_add_up_to_the_whole(lesson, batch) -> None:
    weights = torch.full((COUNT,), 1 / COUNT)
    whole, priorities, terms = lesson.outcome(batch, weights, slice(None))
    parts = [lesson.outcome(batch, weights, part) for part in (slice(0, 3), slice(3, 6))]
    torch.testing.assert_close(parts[0][0] + parts[1][0], whole)
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), priorities)
    for name, term in terms.items():
        torch.testing.assert_close(parts[0][2][name] + parts[1][2][name], term)


def test_a_part_without_sequences(lesson, batch) -> None:
    """A rank that holds none of a small batch still adds its gradient, of zeros."""
    loss, priorities, terms = lesson.outcome(batch, torch.ones(COUNT), slice(COUNT, None))
    assert len(priorities) == 0 and not any(terms.values())
    assert not any(gradient.any() for gradient in gradients(lesson.model, loss))


def test_clipped_rewards_and_lost_lives_are_the_learners_view(lesson, batch) -> None:
    weights = torch.full((COUNT,), 1 / COUNT)
    viewed = SequenceLesson(lesson.model, lesson.target_model, ALGORITHM, BURN_IN, View(True, True))
    before = batch.rewards.clone(), batch.terminated.clone()
    loss, _, _ = viewed.outcome(batch, weights, slice(None))
    assert torch.equal(batch.rewards, before[0]) and torch.equal(batch.terminated, before[1])
    batch.rewards.sign_()
    batch.terminated.logical_or_(batch.life_lost)
    expected, _, _ = lesson.outcome(batch, weights, slice(None))
    torch.testing.assert_close(loss, expected)
