"""Acting with a noisy network: new noise for each rollout, none in evaluation, nothing to save."""

import torch

from accel.models import build_q_network
from accel.policies import EpsilonGreedyPolicy, Exploration

ALL = slice(None)


def make_policy(noise_seed, model=None):
    if model is None:
        torch.manual_seed(0)
        model = build_q_network("mlp", (4,), 2, 5, hidden_size=16, noisy=True)
    greedy = Exploration.constant(0.0)
    return EpsilonGreedyPolicy(model, lambda output: output.values[:, :, 0], greedy, noise_seed)


def values_at(policy, agent_steps):
    policy.begin(agent_steps)
    observations = torch.linspace(-1, 1, 64).view(8, 2, 4)
    return policy.act(observations, torch.rand(8), ALL).values


def test_each_rollout_has_its_own_noise_by_seed_and_agent_steps():
    policy = make_policy(noise_seed=3)
    first, second = values_at(policy, 0), values_at(policy, 64)
    assert not torch.allclose(first, second)
    resumed = make_policy(noise_seed=3)
    assert torch.equal(values_at(resumed, 64), second)
    assert torch.equal(values_at(resumed, 0), first)
    assert not torch.allclose(values_at(make_policy(noise_seed=4), 0), first)


def test_without_a_seed_the_mean_weights_act():
    training = make_policy(noise_seed=3)
    before = values_at(training, 0)
    evaluation = make_policy(None, training.model)  # of the very same network
    mean = values_at(evaluation, 0)
    assert not torch.allclose(mean, before)
    assert torch.equal(values_at(evaluation, 64), mean)
    assert torch.equal(values_at(training, 0), before)
