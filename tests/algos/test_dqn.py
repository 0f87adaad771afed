"""DQN's targets and loss by hand, for each kind of target."""

import pytest
import torch

from accel.algos import DQN, Munchausen, QSamples
from accel.algos.value_rescaling import rescale, unrescale
from accel.types import QOutput


def output(*rows):
    return QOutput(torch.tensor(rows, dtype=torch.float32).unsqueeze(2))


NEXT_TARGET = output([1.0, 4.0, 2.0], [6.0, 0.0, -2.0], [5.0, 5.0, 5.0])
NEXT_ONLINE = output([9.0, 4.0, 2.0], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0])
CURRENT_TARGET = output([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0])


@pytest.fixture
def samples():
    """The second bootstraps from two steps on, the third is an episode's last."""
    return QSamples(
        actions=torch.tensor([0, 2, 1]),
        returns=torch.tensor([1.0, -1.0, 3.0]),
        bootstrap=torch.tensor([0.5, 0.25, 0.0]),
        next_actions=torch.tensor([2, 1, 0]),
        weights=torch.full((3,), 1 / 3),
    )


def test_the_greatest_value_of_the_target_network(samples):
    targets = DQN().targets(samples, NEXT_TARGET)
    assert targets.tolist() == [1 + 0.5 * 4, -1 + 0.25 * 6, 3]


def test_double_values_the_online_networks_choice_by_the_target_network(samples):
    targets = DQN(double=True).targets(samples, NEXT_TARGET, NEXT_ONLINE)
    assert targets.tolist() == [1 + 0.5 * 1, -1 + 0.25 * 0, 3]


def test_sarsa_values_the_action_that_was_taken(samples):
    targets = DQN(sarsa=True).targets(samples, NEXT_TARGET)
    assert targets.tolist() == [1 + 0.5 * 2, -1 + 0.25 * 0, 3]


def test_munchausen_rewards_the_sampled_action_and_bootstraps_softly(samples):
    settings = Munchausen(alpha=0.9, tau=0.1)
    targets = DQN(munchausen=settings).targets(samples, NEXT_TARGET, None, CURRENT_TARGET)
    # all actions of CURRENT_TARGET are alike: the log-policy is -ln 3
    bonus = 0.9 * 0.1 * -torch.tensor(3.0).log()
    soft = 0.1 * (NEXT_TARGET.values.squeeze(2) / 0.1).exp().sum(1).log()
    expected = samples.returns + bonus + samples.bootstrap * soft
    torch.testing.assert_close(targets, expected)


def test_rescaled_targets_are_those_of_unscaled_values(samples):
    targets = DQN(value_rescaling=True).targets(samples, NEXT_TARGET)
    greatest = unrescale(torch.tensor([4.0, 6.0, 5.0]))
    torch.testing.assert_close(targets, rescale(samples.returns + samples.bootstrap * greatest))


def test_loss_priorities_and_gradient(samples):
    current = output([1.0, 9.0, 9.0], [9.0, 9.0, 0.25], [9.0, 3.5, 9.0])
    current.values.requires_grad_()
    loss, priorities, terms = DQN().loss(current, samples, NEXT_TARGET)
    # targets 3, 0.5, 3; errors 2, 0.25, -0.5
    assert priorities.tolist() == [2, 0.25, 0.5]
    assert loss.item() == pytest.approx((1.5 + 0.5 * 0.25**2 + 0.5 * 0.5**2) / 3)
    assert terms["loss"] == loss
    assert terms["q_values"].item() == pytest.approx((1 + 0.25 + 3.5) / 3)
    assert terms["td_error"].item() == pytest.approx(2.75 / 3)
    (gradient,) = torch.autograd.grad(loss, current.values)
    expected = torch.zeros(3, 3)
    expected[[0, 1, 2], [0, 2, 1]] = torch.tensor([-1.0, -0.25, 0.5]) / 3  # clipped to [-1, 1]
    torch.testing.assert_close(gradient.squeeze(2), expected)
    assert not any(tensor.requires_grad for tensor in (priorities, *terms.values()))


def test_pieces_add_up_to_the_whole(samples):
    whole, priorities, _ = DQN(huber_delta=None).loss(NEXT_ONLINE, samples, NEXT_TARGET)
    parts = []
    for row, piece in enumerate(samples.split(1)):
        ours, following = (QOutput(q.values[row : row + 1]) for q in (NEXT_ONLINE, NEXT_TARGET))
        parts.append(DQN(huber_delta=None).loss(ours, piece, following))
    torch.testing.assert_close(sum(loss for loss, _, _ in parts), whole)
    assert torch.equal(torch.cat([part for _, part, _ in parts]), priorities)


def test_what_the_loss_needs_to_be_given():
    assert (DQN().uses_next_online, DQN().uses_current_target) == (False, False)
    assert DQN(double=True).uses_next_online
    assert DQN(munchausen=Munchausen()).uses_current_target


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"double": True, "sarsa": True}, "choose one"),
        ({"sarsa": True, "munchausen": Munchausen()}, "choose one"),
        ({"value_rescaling": True, "munchausen": Munchausen()}, "turn value_rescaling off"),
    ],
)
def test_switches_that_exclude_each_other(switches, message):
    with pytest.raises(ValueError, match=message):
        DQN(**switches)
