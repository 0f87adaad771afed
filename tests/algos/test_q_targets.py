"""The pieces of value learning by hand: errors, priorities, value rescaling, Munchausen."""

import math

import pytest
import torch

from accel.algos import Munchausen
from accel.algos.q_targets import huber, of_actions, sequence_priorities, weighted_sums
from accel.algos.value_rescaling import rescale, unrescale


def test_values_of_the_taken_actions():
    values = torch.arange(12.0).view(2, 3, 2)
    assert of_actions(values, torch.tensor([2, 0])).tolist() == [[4, 5], [6, 7]]


def test_huber_is_quadratic_then_linear():
    errors = torch.tensor([-3.0, -0.5, 0.0, 2.0])
    assert huber(errors, 1.0).tolist() == [2.5, 0.125, 0, 1.5]
    assert huber(errors, 2.0).tolist() == [4, 0.125, 0, 2]
    assert huber(errors, None).tolist() == [4.5, 0.125, 0, 2]


def test_pieces_add_up_to_the_means_over_samples_that_count():
    losses, taken = torch.tensor([1.0, 3.0, 100.0]), torch.tensor([2.0, 4.0, 100.0])
    errors, weights = torch.tensor([-1.0, 2.0, 100.0]), torch.tensor([0.5, 0.5, 0.0])
    loss, terms = weighted_sums(losses, taken, errors, weights)
    assert loss == 2
    assert {name: term.item() for name, term in terms.items()} == {
        "loss": 2.0,
        "q_values": 3.0,
        "td_error": 1.5,
    }


def test_sequence_priorities_mix_the_greatest_and_the_mean_error_of_valid_steps():
    errors = torch.tensor([[1.0, 9.0, 5.0], [3.0, 2.0, 5.0]])
    valid = torch.tensor([[True, False, False], [True, True, False]])
    priorities = sequence_priorities(errors, valid, eta=0.75)
    assert priorities.tolist() == [0.75 * 3 + 0.25 * 2, 2, 0]


def test_rescaled_values_by_hand():
    values = torch.tensor([3.0, -8.0, 0.0])
    expected = torch.tensor([1 + 0.003, -2 - 0.008, 0])
    torch.testing.assert_close(rescale(values), expected)


@pytest.mark.parametrize("epsilon", [0.0, 1e-3, 1e-2])
def test_rescaling_has_an_exact_inverse(epsilon):
    magnitudes = torch.logspace(-6, 5, 50)
    values = torch.cat([-magnitudes, torch.zeros(1), magnitudes])
    there_and_back = unrescale(rescale(values, epsilon), epsilon)
    torch.testing.assert_close(there_and_back, values, rtol=2e-6, atol=0)


@pytest.mark.parametrize("epsilon", [0.0, 1e-3, 1e-2])
def test_rescaling_keeps_the_digits_of_the_closed_forms_in_float64(epsilon):
    values = torch.logspace(-4, 5, 50, dtype=torch.float64)
    expected = (values + 1).sqrt() - 1 + epsilon * values
    torch.testing.assert_close(
        rescale(values.float(), epsilon).double(), expected, rtol=1e-6, atol=0
    )
    torch.testing.assert_close(
        unrescale(expected.float(), epsilon).double(), values, rtol=2e-6, atol=0
    )


def test_munchausen_terms_follow_their_definitions():
    settings = Munchausen(alpha=0.9, tau=0.5, clip=-1.0)
    q_values = torch.tensor([[1.0, 1.5, 0.0], [0.0, 0.0, 9.0]])
    policy = [[math.exp(q / 0.5) for q in row] for row in q_values.tolist()]
    policy = [[p / sum(row) for p in row] for row in policy]
    rewards = settings.reward(q_values, torch.tensor([1, 0]))
    assert rewards[0].item() == pytest.approx(0.9 * 0.5 * math.log(policy[0][1]))
    assert rewards[1].item() == pytest.approx(0.9 * -1.0)  # 0.5 ln pi is -9 here: clipped
    for value, row, probs in zip(settings.state_values(q_values), q_values.tolist(), policy):
        soft = sum(p * (q - 0.5 * math.log(p)) for p, q in zip(probs, row))
        assert value.item() == pytest.approx(soft)


def test_munchausen_is_finite_at_the_papers_low_temperature():
    q_values = torch.tensor([[500.0, -500.0]])
    settings = Munchausen()
    assert settings.state_values(q_values).item() == pytest.approx(500)
    assert settings.reward(q_values, torch.tensor([0])) == 0
    assert settings.reward(q_values, torch.tensor([1])).item() == pytest.approx(-0.9)
