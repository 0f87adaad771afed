"""C51 and quantile regression against loops over atoms and quantiles."""

import math

import pytest
import torch

from accel.algos import C51, QSamples, QuantileRegression
from accel.algos.quantile import quantile_huber
from accel.types import QOutput

NUM_SAMPLES, NUM_ACTIONS = 6, 3


@pytest.fixture
def samples():
    generator = torch.Generator().manual_seed(0)
    bootstrap = torch.tensor([0.9, 0.81, 0.0, 0.9, 1.0, 0.5])
    return QSamples(
        actions=torch.randint(0, NUM_ACTIONS, (NUM_SAMPLES,), generator=generator),
        returns=torch.tensor([0.3, -2.0, 1.0, 40.0, -40.0, 0.0]),
        bootstrap=bootstrap,
        next_actions=torch.zeros(NUM_SAMPLES, dtype=torch.int64),
        weights=torch.tensor([0.2, 0.2, 0.2, 0.2, 0.2, 0.0]),
    )


def outputs(num_columns, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(NUM_SAMPLES, NUM_ACTIONS, num_columns, generator=generator)
    taus = torch.rand(NUM_SAMPLES, num_columns, generator=generator)
    return QOutput(values, taus)


def projected(probs, returns, bootstrap, v_min, v_max):
    """Algorithm 1 of the C51 paper for one sample, atom by atom."""
    num_atoms = len(probs)
    spacing = (v_max - v_min) / (num_atoms - 1)
    result = [0.0] * num_atoms
    for j, prob in enumerate(probs):
        moved = min(max(returns + bootstrap * (v_min + j * spacing), v_min), v_max)
        position = (moved - v_min) / spacing
        lower = min(math.floor(position), num_atoms - 2)
        result[lower] += prob * (lower + 1 - position)
        result[lower + 1] += prob * (position - lower)
    return result


@pytest.mark.parametrize(("v_min", "v_max", "num_atoms"), [(-10.0, 10.0, 51), (-1.0, 3.0, 2)])
def test_projection_agrees_with_a_loop_over_atoms(samples, v_min, v_max, num_atoms):
    probs = outputs(num_atoms, seed=1).values[:, 0].softmax(1)
    result = C51(v_min, v_max).project(probs, samples.returns, samples.bootstrap)
    for n in range(NUM_SAMPLES):
        expected = projected(
            probs[n].tolist(), samples.returns[n].item(), samples.bootstrap[n].item(), v_min, v_max
        )
        assert result[n].tolist() == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(result.sum(1), torch.ones(NUM_SAMPLES))


def test_projection_by_hand():
    probs = torch.tensor([[0.5, 0.0, 0.5], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    returns, bootstrap = torch.tensor([0.25, 1.5, 0.0]), torch.tensor([0.5, 0.0, 1.0])
    # atoms -1, 0, 1. Sample 0: to -0.25 and 0.75. Sample 1: all above the span. Sample 2: as is.
    expected = torch.tensor([[0.125, 0.375 + 0.125, 0.375], [0, 0, 1.0], [0.2, 0.3, 0.5]])
    torch.testing.assert_close(C51(-1.0, 1.0).project(probs, returns, bootstrap), expected)


def test_c51_acts_by_the_expected_return():
    logits = torch.log(torch.tensor([[[0.2, 0.3, 0.5], [0.5, 0.5, 1e-9]]]))
    torch.testing.assert_close(
        C51(-1.0, 1.0).q_values(QOutput(logits)), torch.tensor([[0.3, -0.5]])
    )


@pytest.mark.parametrize("double", [False, True])
def test_c51_loss_is_the_cross_entropy_to_the_chosen_actions_distribution(samples, double):
    algorithm = C51(double=double)
    current, target, online = (outputs(51, seed) for seed in (1, 2, 3))
    current.values.requires_grad_()
    loss, priorities, terms = algorithm.loss(current, samples, target, online)
    total = 0.0
    for n in range(NUM_SAMPLES):
        action = algorithm.q_values(online if double else target)[n].argmax()
        probs = target.values[n, action].softmax(0).tolist()
        wanted = projected(
            probs, samples.returns[n].item(), samples.bootstrap[n].item(), -10.0, 10.0
        )
        log_probs = current.values[n, samples.actions[n]].log_softmax(0).tolist()
        divergence = sum(p * (math.log(p) - q) for p, q in zip(wanted, log_probs) if p > 0)
        assert priorities[n].item() == pytest.approx(divergence, abs=1e-5)
        total += samples.weights[n].item() * -sum(p * q for p, q in zip(wanted, log_probs))
    assert loss.item() == pytest.approx(total, rel=1e-5)
    assert terms["loss"] == loss
    (gradient,) = torch.autograd.grad(loss, current.values)
    taken = torch.zeros(NUM_SAMPLES, NUM_ACTIONS, dtype=torch.bool)
    taken[torch.arange(NUM_SAMPLES), samples.actions] = samples.weights > 0
    assert torch.equal(gradient.abs().sum(2) > 0, taken)


def test_c51_has_nothing_to_learn_from_its_own_target(samples):
    algorithm = C51()
    target = outputs(51, seed=1)
    wanted = algorithm.targets(samples, target)
    current = QOutput(wanted.clamp(min=1e-30).log().unsqueeze(1).repeat(1, NUM_ACTIONS, 1))
    _, priorities, terms = algorithm.loss(current, samples, target)
    torch.testing.assert_close(priorities, torch.zeros(NUM_SAMPLES), rtol=0, atol=1e-5)
    assert terms["td_error"].item() == pytest.approx(0, abs=1e-5)


def looped_quantile_huber(predicted, taus, targets, kappa):
    """Sum over predictions of the mean over targets, one pair at a time."""
    total = 0.0
    for theta, tau in zip(predicted, taus):
        for target in targets:
            error = target - theta
            size = abs(error)
            bent = 0.5 * error**2 if size <= kappa else kappa * (size - 0.5 * kappa)
            total += abs(tau - (error < 0)) * bent / kappa / len(targets)
    return total


@pytest.mark.parametrize("kappa", [1.0, 0.1])
@pytest.mark.parametrize("double", [False, True])
def test_quantile_loss_agrees_with_a_loop_over_pairs(samples, double, kappa):
    algorithm = QuantileRegression(kappa=kappa, double=double)
    current, target, online = outputs(5, seed=1), outputs(8, seed=2), outputs(4, seed=3)
    loss, priorities, terms = algorithm.loss(current, samples, target, online)
    for n in range(NUM_SAMPLES):
        action = (online if double else target).values[n].mean(1).argmax()
        wanted = samples.returns[n] + samples.bootstrap[n] * target.values[n, action]
        predicted = current.values[n, samples.actions[n]]
        expected = looped_quantile_huber(
            predicted.tolist(), current.taus[n].tolist(), wanted.tolist(), kappa
        )
        assert priorities[n].item() == pytest.approx(expected, rel=1e-5)
    assert loss.item() == pytest.approx((samples.weights * priorities).sum().item())
    assert terms["loss"] == loss


def test_quantile_loss_is_least_at_the_quantiles():
    targets = torch.arange(100.0).unsqueeze(0)
    taus = torch.tensor([[0.1, 0.5, 0.9]])
    predicted = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.SGD([predicted], lr=30.0)
    for _ in range(300):
        optimizer.zero_grad()
        quantile_huber(predicted, taus, targets, kappa=0.5).sum().backward()
        optimizer.step()
    torch.testing.assert_close(predicted.detach(), 100 * taus - 0.5, rtol=0, atol=1.0)


def test_quantiles_act_by_their_mean():
    output = outputs(4, seed=1)
    assert torch.equal(QuantileRegression().q_values(output), output.values.mean(2))


@pytest.mark.parametrize("algorithm", [C51, QuantileRegression])
def test_what_the_loss_needs_to_be_given(algorithm):
    plain, double = algorithm(), algorithm(double=True)
    assert not plain.uses_next_online and double.uses_next_online
    assert not double.uses_current_target


def test_impossible_settings():
    with pytest.raises(ValueError, match=r"v_min=1.*less than v_max=1"):
        C51(v_min=1, v_max=1)
    with pytest.raises(ValueError, match="kappa=0 must be positive"):
        QuantileRegression(kappa=0)
