"""Inverse-CDF sampling: right frequencies, and dependence on one's own noise only."""

import pytest
import torch

from accel.models import build_model
from accel.policies import CategoricalPolicy
from accel.policies.categorical import sample_categorical

ALL = slice(None)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model("mlp", (4,), 2, 5, hidden_size=16, initialization="default")


def test_frequencies_are_the_probabilities():
    probabilities = torch.tensor([0.5, 0.1, 0.0, 0.3, 0.1])
    noise = (torch.arange(100_000) + 0.5) / 100_000  # an even grid: no sampling error
    actions = sample_categorical(probabilities.log().expand(100_000, 5), noise)
    frequencies = actions.bincount(minlength=5) / 100_000
    torch.testing.assert_close(frequencies, probabilities, rtol=0, atol=2e-5)


def test_extreme_noise_never_picks_an_impossible_action():
    log_probs = torch.tensor([[0.0, 0.5, 0.5, 0.0]]).log()
    for noise, action in [(0.0, 1), (0.4999, 1), (0.5, 2), (1 - 2**-24, 2)]:
        assert sample_categorical(log_probs, torch.tensor([noise])).item() == action


def test_random_logits_never_give_an_action_out_of_range():
    generator = torch.Generator().manual_seed(0)
    log_probs = (20 * torch.randn(10_000, 18, generator=generator)).log_softmax(1)
    for noise in (0.0, 1 - 2**-24):
        actions = sample_categorical(log_probs, torch.full((10_000,), noise))
        taken = log_probs.gather(1, actions.unsqueeze(1))
        assert taken.isfinite().all() and (taken.exp() > 0).all()


def test_an_action_depends_on_its_own_noise_only(model):
    policy = CategoricalPolicy(model)
    observations = torch.randn(1, 2, 4).expand(8, 2, 4)
    noise = torch.rand(8)
    actions = policy.act(observations, noise, ALL).actions
    order = torch.randperm(8)
    assert torch.equal(policy.act(observations, noise[order], ALL).actions, actions[order])
    changed = noise.clone()
    changed[1:] = torch.rand(7)
    assert policy.act(observations, changed, ALL).actions[0] == actions[0]


def test_step_holds_the_whole_distribution_and_values(model):
    observations = torch.randn(3, 2, 4)
    step = CategoricalPolicy(model).act(observations, torch.rand(3), ALL)
    logits, values = model(observations)
    assert step.actions.dtype == torch.int64 and step.log_probs.dtype == torch.float32
    torch.testing.assert_close(step.log_probs, logits.log_softmax(1))
    torch.testing.assert_close(step.values, values)
    torch.testing.assert_close(CategoricalPolicy(model).values(observations), values)
    assert step.log_probs.is_inference()


def test_greedy_takes_the_likeliest_action(model):
    step = CategoricalPolicy(model, greedy=True).act(torch.randn(6, 2, 4), torch.rand(6), ALL)
    assert torch.equal(step.actions, step.log_probs.argmax(1))
