"""PPO and A2C losses against straightforward references over valid samples."""

import pytest
import torch
from torch.distributions import Categorical

from accel.algos import A2C, PPO, Batch, Constant, Linear
from accel.algos.returns import gae
from accel.algos.rollout_samples import mean_weights
from tests.algos.worlds import Walkers, chain, mostly_greedy

NUM_SAMPLES, NUM_ACTIONS = 12, 5


@pytest.fixture
def minibatch():
    torch.manual_seed(0)
    valid = torch.ones(NUM_SAMPLES, dtype=torch.bool)
    valid[[2, 7]] = False
    return Batch(
        time=torch.arange(NUM_SAMPLES),
        env=torch.zeros(NUM_SAMPLES, dtype=torch.int64),
        actions=torch.randint(0, NUM_ACTIONS, (NUM_SAMPLES,)),
        log_probs=torch.randn(NUM_SAMPLES, NUM_ACTIONS).log_softmax(1)[:, 0],
        values=torch.randn(NUM_SAMPLES),
        advantages=torch.randn(NUM_SAMPLES),
        returns=torch.randn(NUM_SAMPLES),
        weights=mean_weights(valid),
        num_envs=1,
        steps_together=1,
    )


@pytest.fixture
def outputs():
    torch.manual_seed(1)
    logits = torch.randn(NUM_SAMPLES, NUM_ACTIONS, requires_grad=True)
    return logits, torch.randn(NUM_SAMPLES, requires_grad=True)


def reference_ppo(logits, values, batch, clip_range, clip_value, entropy_coef, value_coef):
    """CleanRL's ppo_atari.py, on the valid samples alone."""
    valid = batch.weights > 0
    advantages, returns = batch.advantages[valid], batch.returns[valid]
    old_values = batch.values[valid]
    policy = Categorical(logits=logits[valid])
    new_values = values[valid]
    log_ratio = policy.log_prob(batch.actions[valid]) - batch.log_probs[valid]
    ratio = log_ratio.exp()
    unclipped = -advantages * ratio
    clipped = -advantages * torch.clamp(ratio, 1 - clip_range, 1 + clip_range)
    policy_loss = torch.max(unclipped, clipped).mean()
    value_loss = (new_values - returns) ** 2
    if clip_value is not None:
        near = old_values + torch.clamp(new_values - old_values, -clip_value, clip_value)
        value_loss = torch.max(value_loss, (near - returns) ** 2)
    value_loss = 0.5 * value_loss.mean()
    entropy = policy.entropy().mean()
    metrics = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": ((ratio - 1) - log_ratio).mean(),
        "clipfrac": ((ratio - 1).abs() > clip_range).float().mean(),
    }
    return policy_loss - entropy_coef * entropy + value_coef * value_loss, metrics


@pytest.mark.parametrize("clip_value", [None, 0.2])
def test_ppo_equals_the_reference(minibatch, outputs, clip_value):
    bonus = Constant(0.02)
    ppo = PPO(clip_range=Constant(0.2), clip_value=clip_value, entropy_coef=bonus, value_coef=0.7)
    loss, metrics = ppo.loss(outputs, minibatch, agent_steps=0)
    expected, expected_metrics = reference_ppo(*outputs, minibatch, 0.2, clip_value, 0.02, 0.7)
    torch.testing.assert_close(loss, expected)
    assert metrics.keys() == expected_metrics.keys()
    for name, value in metrics.items():
        torch.testing.assert_close(value, expected_metrics[name].detach())
        assert not value.requires_grad
    gradients = torch.autograd.grad(loss, outputs)
    for gradient, reference in zip(gradients, torch.autograd.grad(expected, outputs)):
        torch.testing.assert_close(gradient, reference)


def test_ppo_clip_range_follows_agent_steps(minibatch, outputs):
    annealed = PPO(clip_range=Linear(0.2, 0.0, 100))
    fixed = PPO(clip_range=Constant(0.1))
    expected, _ = fixed.loss(outputs, minibatch, agent_steps=0)
    torch.testing.assert_close(annealed.loss(outputs, minibatch, agent_steps=50)[0], expected)


@pytest.mark.parametrize("algorithm", [PPO, A2C])
def test_the_entropy_bonus_follows_agent_steps(algorithm, minibatch, outputs):
    annealed = algorithm(entropy_coef=Linear(0.4, 0.0, 100))
    fixed = algorithm(entropy_coef=Constant(0.1))
    loss, expected = (one.loss(outputs, minibatch, 75)[0] for one in (annealed, fixed))
    torch.testing.assert_close(loss, expected)
    assert loss != algorithm(entropy_coef=Constant(0.4)).loss(outputs, minibatch, 75)[0]


def test_ppo_learns_from_the_steps_of_an_older_policy_by_the_ratio_to_that_policy():
    """Advantages too are of the values that acted: nothing takes the two policies for one."""
    world = chain()
    optimal = world.optimal_values()
    acting, learning = mostly_greedy(-optimal, epsilon=0.8), mostly_greedy(optimal, epsilon=0.4)
    old_values = torch.linspace(-1, 1, 5)
    states, rollout = Walkers(world, num_envs=6, seed=0).rollout(acting, old_values, num_steps=12)
    ppo = PPO(clip_range=Constant(0.8), num_minibatches=1, normalize_advantages=False)
    (samples,) = ppo.minibatches(ppo.prepare(rollout), torch.Generator())
    seen = states[samples.time, samples.env]
    _, terms = ppo.loss((learning.log()[seen], torch.zeros(len(seen))), samples, 0)

    ratio = (learning / acting)[states[:-1], rollout.actions][rollout.valid]
    assert ratio.unique().tolist() == pytest.approx([0.2 / 0.6, 0.8 / 0.4])
    advantages, returns = gae(
        rollout.rewards, old_values[states], rollout.terminated, rollout.truncated, 0.99, 0.95
    )
    advantages, returns = advantages[rollout.valid], returns[rollout.valid]
    objective = torch.minimum(advantages * ratio, advantages * ratio.clamp(0.2, 1.8))
    torch.testing.assert_close(terms["policy_loss"], -objective.mean())
    torch.testing.assert_close(terms["value_loss"], 0.5 * returns.square().mean())
    torch.testing.assert_close(terms["approx_kl"], (ratio - 1 - ratio.log()).mean())
    assert terms["clipfrac"] == (ratio > 1.8).float().mean()


def test_ppo_stops_on_kl_only_with_a_target():
    metrics = {"approx_kl": torch.tensor(0.03)}
    assert not PPO().should_stop(metrics)
    assert not PPO(target_kl=0.05).should_stop(metrics)
    assert PPO(target_kl=0.01).should_stop(metrics)


def test_a2c_equals_the_reference(minibatch, outputs):
    logits, values = outputs
    loss, metrics = A2C(entropy_coef=Constant(0.02), value_coef=0.7).loss(outputs, minibatch, 0)
    valid = minibatch.weights > 0
    policy = Categorical(logits=logits[valid])
    log_probs = policy.log_prob(minibatch.actions[valid])
    policy_loss = -(minibatch.advantages[valid] * log_probs).mean()
    value_loss = 0.5 * (values[valid] - minibatch.returns[valid]).square().mean()
    entropy = policy.entropy().mean()
    expected = policy_loss + 0.7 * value_loss - 0.02 * entropy
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(metrics["entropy"], entropy.detach())
    for gradient, reference in zip(
        torch.autograd.grad(loss, outputs), torch.autograd.grad(expected, outputs)
    ):
        torch.testing.assert_close(gradient, reference)


@pytest.mark.parametrize("algorithm", [PPO(), A2C()])
def test_pieces_add_up_to_the_minibatch(minibatch, outputs, algorithm):
    logits, values = outputs
    whole, metrics = algorithm.loss((logits, values), minibatch, 0)
    pieces = minibatch.split(5)
    sizes = [len(piece) for piece in pieces]
    parts = [
        algorithm.loss((part_logits, part_values), piece, 0)
        for part_logits, part_values, piece in zip(logits.split(sizes), values.split(sizes), pieces)
    ]
    torch.testing.assert_close(sum(loss for loss, _ in parts), whole)
    for name, value in metrics.items():
        torch.testing.assert_close(sum(terms[name] for _, terms in parts), value)


@pytest.mark.parametrize("algorithm", [PPO(), A2C()])
def test_invalid_samples_have_no_gradient(minibatch, outputs, algorithm):
    loss, _ = algorithm.loss(outputs, minibatch, 0)
    for gradient in torch.autograd.grad(loss, outputs):
        assert not gradient[[2, 7]].any()
