"""Q(lambda) on rollouts: targets by hand, and the loss over valid samples only."""

import pytest
import torch

from accel.algos import PQN, View
from accel.types import QOutput, Rollout


def column(*numbers):
    return torch.tensor(numbers, dtype=torch.float32).unsqueeze(1)


@pytest.fixture
def rollout():
    """Three steps of one environment."""
    never = torch.zeros(3, 1, dtype=torch.bool)
    return Rollout(
        frames=torch.zeros(4, 1, 2),
        age=torch.zeros(4, 1, dtype=torch.int32),
        actions=torch.tensor([[1], [0], [1]]),
        rewards=column(1.0, 2.0, 3.0),
        terminated=never.clone(),
        truncated=never.clone(),
        life_lost=never.clone(),
        valid=~never,
        log_probs=torch.zeros(3, 1, 2),
        values=column(0.5, 1.0, 1.5, 2.0),
        policy_version=torch.zeros(3, dtype=torch.int64),
    )


def targets(rollout, **changes):
    settings = {"discount": 0.5, "q_lambda": 0.5, **changes}
    return PQN(**settings).prepare(rollout).returns.tolist()


def test_lambda_returns_by_hand(rollout):
    last = 3 + 0.5 * 2
    middle = 2 + 0.5 * (0.5 * last + 0.5 * 1.5)
    assert targets(rollout) == [1 + 0.5 * (0.5 * middle + 0.5 * 1.0), middle, last]


def test_lambda_zero_looks_one_step_ahead_and_one_to_the_end(rollout):
    assert targets(rollout, q_lambda=0.0) == [1 + 0.5 * 1, 2 + 0.5 * 1.5, 3 + 0.5 * 2]
    assert targets(rollout, q_lambda=1.0) == [1 + 0.5 * (2 + 0.5 * 4), 2 + 0.5 * 4, 4]


def test_nothing_follows_a_terminated_episode(rollout):
    rollout.terminated[1] = True
    assert targets(rollout)[:2] == [1 + 0.5 * (0.5 * 2 + 0.5 * 1), 2]


def test_a_truncated_episode_ends_in_the_value_of_its_last_frame(rollout):
    rollout.truncated[1] = True
    middle = 2 + 0.5 * 1.5
    assert targets(rollout)[:2] == [1 + 0.5 * (0.5 * middle + 0.5 * 1), middle]


def test_life_loss_and_clipping_are_the_learners_view(rollout):
    rollout.life_lost[1] = True
    changed = targets(rollout, view=View(terminal_on_life_loss=True, clip_rewards=True))
    assert changed[:2] == [1 + 0.5 * (0.5 * 1 + 0.5 * 1), 1]
    assert rollout.rewards[1] == 2
    assert not rollout.terminated.any()


def test_loss_is_half_the_mean_squared_error_of_the_taken_actions(rollout):
    rollout.valid[2] = False
    algorithm = PQN(discount=0.5, q_lambda=0.0, num_minibatches=1)
    batch = algorithm.prepare(rollout)  # targets 1.5, 2.75 and one that does not count
    (samples,) = algorithm.minibatches(batch, torch.Generator().manual_seed(0))
    values = torch.tensor([[9.0, 1.0], [3.0, 9.0], [7.0, 7.0]])[samples.time]
    output = QOutput(values.unsqueeze(2).requires_grad_())
    loss, terms = algorithm.loss(output, samples, agent_steps=0)
    assert loss.item() == pytest.approx(0.5 * (0.5**2 + 0.25**2) / 2)
    assert terms["loss"] == loss
    assert terms["q_values"].item() == pytest.approx((1 + 3) / 2)
    assert terms["td_error"].item() == pytest.approx((0.5 + 0.25) / 2)
    (gradient,) = torch.autograd.grad(loss, output.values)
    expected = torch.tensor([[0.0, -0.5 / 2], [0.25 / 2, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(gradient.squeeze(2), expected[samples.time])


def test_greedy_acting_maximizes_the_same_values():
    output = QOutput(torch.arange(6.0).view(2, 3, 1))
    assert torch.equal(PQN().q_values(output), output.values[:, :, 0])
