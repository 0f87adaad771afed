"""R2D2's targets, loss and priorities by hand."""

import pytest
import torch

from accel.algos import R2D2, Steps
from accel.algos.value_rescaling import rescale, unrescale


def make_steps(**changes):
    """Four rows of one sequence, of which two are learned from with n = 2."""
    columns = {
        "actions": torch.tensor([0, 1, 0, 1]),
        "rewards": torch.tensor([1.0, 2.0, 4.0, 8.0]),
        "terminated": torch.zeros(4, dtype=torch.bool),
        "truncated": torch.zeros(4, dtype=torch.bool),
        "valid": torch.ones(4, dtype=torch.bool),
        **{name: torch.tensor(column) for name, column in changes.items()},
    }
    return Steps(**{name: column.unsqueeze(1) for name, column in columns.items()})


ONLINE = torch.tensor([[1.0, 0.0], [0.5, 2.0], [5.0, 6.0], [9.0, 7.0]]).unsqueeze(1)
TARGET = torch.tensor([[0.0, 0.0], [3.0, 1.0], [8.0, 4.0], [6.0, 2.0]]).unsqueeze(1)
PLAIN = R2D2(n_step=2, discount=0.5, value_rescaling=False)


def targets(steps, algorithm=PLAIN):
    return algorithm.targets(ONLINE, TARGET, steps).squeeze(1).tolist()


def test_two_step_targets_with_the_online_network_choosing():
    # 1 + 0.5 * 2 + 0.25 * target[2][argmax online[2] = 1], then one row later
    assert targets(make_steps()) == [1 + 1 + 0.25 * 4, 2 + 2 + 0.25 * 6]


def test_without_double_the_target_network_chooses():
    algorithm = R2D2(n_step=2, discount=0.5, value_rescaling=False, double=False)
    assert targets(make_steps(), algorithm) == [1 + 1 + 0.25 * 8, 2 + 2 + 0.25 * 6]


def test_returns_end_with_the_episode():
    ended = [True, False, False, False]
    assert targets(make_steps(terminated=ended))[0] == 1.0
    # truncated: the next row holds the true last frame, of value target[1][1]
    assert targets(make_steps(truncated=ended))[0] == 1.0 + 0.5 * 1.0


def test_values_are_squashed_and_expanded():
    algorithm = R2D2(n_step=2, discount=0.5)
    value = unrescale(torch.tensor(4.0))
    expected = rescale(torch.tensor(2.0) + 0.25 * value)
    assert targets(make_steps(), algorithm)[0] == pytest.approx(float(expected))


def test_loss_and_priority_leave_invalid_steps_out():
    online = ONLINE.clone().requires_grad_()
    weights = torch.tensor([0.5])
    whole, priorities, terms = PLAIN.loss(online, TARGET, make_steps(), weights)
    errors = [3.0 - 1.0, 5.5 - 2.0]  # targets less online[0][0] and online[1][1]
    assert float(whole.detach()) == pytest.approx(0.5 * 0.5 * (errors[0] ** 2 + errors[1] ** 2) / 2)
    assert float(priorities) == pytest.approx(0.9 * 3.5 + 0.1 * 2.75)
    assert float(terms["td_error"]) == pytest.approx(0.5 * 2.75)
    steps = make_steps(valid=[True, False, True, True])
    part, priorities, _ = PLAIN.loss(online, TARGET, steps, weights)
    assert float(part.detach()) == pytest.approx(0.5 * 0.5 * errors[0] ** 2 / 2)
    assert float(priorities) == pytest.approx(2.0)
    part.backward()
    assert online.grad[0, 0, 0] != 0 and online.grad[1:].abs().sum() == 0
