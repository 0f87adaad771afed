"""Epsilon-greedy acting: right frequencies, its own noise only, and the ladder by hand."""

import pytest
import torch

from accel.policies import EpsilonGreedyPolicy, Exploration, epsilon_ladder
from accel.types import QOutput

ALL = slice(None)


class Table:
    """A network whose values are what it is shown."""

    def __call__(self, observations: torch.Tensor) -> QOutput:
        return QOutput(observations.unsqueeze(2))

    def draw_noise(self, generator: object) -> None:
        pass


def policy(exploration: Exploration) -> EpsilonGreedyPolicy:
    return EpsilonGreedyPolicy(Table(), lambda output: output.values.squeeze(2), exploration)


def test_actions_come_as_often_as_their_probabilities_say():
    values = torch.tensor([[0.0, 3.0, -1.0, 2.0]]).repeat(40_000, 1)
    noise = torch.rand(40_000, generator=torch.Generator().manual_seed(0))
    step = policy(Exploration.constant(0.2)).act(values, noise, ALL)
    torch.testing.assert_close(step.log_probs[0].exp(), torch.tensor([0.05, 0.85, 0.05, 0.05]))
    counts = step.actions.bincount(minlength=4) / 40_000
    torch.testing.assert_close(counts, step.log_probs[0].exp(), atol=0.006, rtol=0)
    assert (step.values == 3.0).all()


@pytest.mark.parametrize(("epsilon", "expected"), [(0.0, [1, 1, 1, 1]), (1.0, [0, 0, 1, 1])])
def test_never_and_always_exploring(epsilon, expected):
    values = torch.tensor([[0.0, 1.0]]).repeat(4, 1)
    noise = torch.tensor([0.0, 0.49, 0.5, 0.99999994])
    step = policy(Exploration.constant(epsilon)).act(values, noise, ALL)
    assert step.actions.tolist() == expected


def test_environments_act_by_their_own_chances():
    act = policy(Exploration(0.0, torch.tensor([0.0, 1.0]), 0)).act
    values, noise = torch.tensor([[0.0, 1.0]]), torch.tensor([0.1])
    assert act(values, noise, slice(0, 1)).actions.tolist() == [1]
    assert act(values, noise, slice(1, 2)).actions.tolist() == [0]


def test_chances_fall_in_a_straight_line():
    exploration = Exploration(1.0, torch.tensor([0.1, 0.5]), 100)
    torch.testing.assert_close(exploration(0), torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(exploration(50), torch.tensor([0.55, 0.75]))
    torch.testing.assert_close(exploration(1000), torch.tensor([0.1, 0.5]))
    torch.testing.assert_close(Exploration(0.3, torch.tensor([0.1]), 0)(0), torch.tensor([0.1]))


def test_the_ladder_is_even_in_the_logarithm_and_by_global_index():
    ladder = epsilon_ladder(0.1, 0.001, range(3), 3)
    torch.testing.assert_close(ladder, torch.tensor([0.001, 0.01, 0.1]))
    torch.testing.assert_close(epsilon_ladder(0.1, 0.001, range(1, 3), 3), ladder[1:])
    assert epsilon_ladder(0.1, None, range(2), 2).tolist() == pytest.approx([0.1, 0.1])
