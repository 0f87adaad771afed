"""IMPALA's loss on whole columns: against a reference, in pieces, and where it is A2C's."""

from itertools import chain

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from accel.algos import A2C, IMPALA, Linear, Ranks, View
from accel.algos.returns import n_step_returns
from accel.algos.vtrace import vtrace
from accel.types import ActorCriticOutput
from tests.algos.worlds import Walkers, mostly_greedy
from tests.algos.worlds import chain as chain_world

NUM_STEPS, NUM_ENVS = 12, 6


class Table:
    """A policy and values of the chain's five states, as a network's output on samples."""

    def __init__(self, logits, values):
        self.logits, self.values = logits.requires_grad_(), values.requires_grad_()

    def __call__(self, states, samples):
        seen = states[samples.time, samples.env]
        return ActorCriticOutput(self.logits[seen], self.values[seen])

    def gradients(self, loss):
        return torch.autograd.grad(loss, (self.logits, self.values))


@pytest.fixture
def learning():
    """Far from the policy that acts in `played`, so that some ratios are clipped."""
    torch.manual_seed(1)
    return Table(2 * torch.randn(5, 2), torch.randn(5))


@pytest.fixture
def played():
    """(states [T + 1, B], rollout) with ends of both kinds and the reset steps after them."""
    world = chain_world()
    acting = mostly_greedy(world.optimal_values(), epsilon=0.7)
    walkers = Walkers(world, NUM_ENVS, seed=0)
    states, rollout = walkers.rollout(acting, torch.linspace(-1, 1, 5), NUM_STEPS)
    assert rollout.terminated.any() and rollout.truncated.any()
    return states, rollout


def only_minibatch(algorithm, rollout):
    (samples,) = algorithm.minibatches(algorithm.prepare(rollout), torch.Generator())
    return samples


def reference(table, states, rollout, algorithm):
    """The loss and its terms from [T, B] tensors of valid steps alone."""
    policy = Categorical(logits=table.logits[states[:-1]])
    behavior = Categorical(logits=rollout.log_probs)
    log_ratios = policy.log_prob(rollout.actions) - behavior.log_prob(rollout.actions)
    values = table.values[states]
    corrected = vtrace(
        log_ratios,
        rollout.rewards,
        values,
        rollout.terminated,
        rollout.truncated,
        algorithm.discount,
        vtrace_lambda=algorithm.vtrace_lambda,
        rho_bar=algorithm.rho_bar,
        c_bar=algorithm.c_bar,
    )
    each = {
        "policy_loss": -corrected.advantages * policy.log_prob(rollout.actions),
        "value_loss": 0.5 * (values[:-1] - corrected.targets).square(),
        "entropy": policy.entropy(),
        "rho": log_ratios.exp().clamp(max=algorithm.rho_bar),
        "clipfrac": (log_ratios.exp() > algorithm.rho_bar).float(),
        "behavior_kl": kl_divergence(behavior, policy),
    }
    terms = {name: term[rollout.valid].mean() for name, term in each.items()}
    entropy = algorithm.entropy_coef(0) * terms["entropy"]
    return terms["policy_loss"] + algorithm.value_coef * terms["value_loss"] - entropy, terms


@pytest.mark.parametrize("settings", [{}, dict(vtrace_lambda=0.9, rho_bar=1.2, c_bar=0.8)])
def test_equals_the_reference(learning, played, settings):
    states, rollout = played
    algorithm = IMPALA(discount=0.9, entropy_coef=Linear(0.02, 0.0, 9), value_coef=0.7, **settings)
    samples = only_minibatch(algorithm, rollout)
    loss, terms = algorithm.loss(learning(states, samples), samples, agent_steps=0)
    expected, expected_terms = reference(learning, states, rollout, algorithm)
    torch.testing.assert_close(loss, expected)
    assert 0 < terms["clipfrac"] < 1 and terms["behavior_kl"] > 0.1
    assert terms.keys() == expected_terms.keys()
    for name, value in terms.items():
        assert not value.requires_grad
        torch.testing.assert_close(value, expected_terms[name].detach())
    gradients = zip(learning.gradients(loss), learning.gradients(expected))
    for gradient, reference_gradient in gradients:
        torch.testing.assert_close(gradient, reference_gradient)


def test_on_the_learners_own_steps_it_is_a2c_with_plain_returns(learning, played):
    states, rollout = played
    with torch.no_grad():
        rollout.log_probs = learning.logits.log_softmax(1)[states[:-1]]
        rollout.values = learning.values[states]
    gradients = []
    for algorithm in (IMPALA(), A2C(gae_lambda=1.0)):
        samples = only_minibatch(algorithm, rollout)
        loss, terms = algorithm.loss(learning(states, samples), samples, agent_steps=0)
        gradients.append(learning.gradients(loss))
        if isinstance(algorithm, IMPALA):
            assert (terms["rho"], terms["clipfrac"]) == (pytest.approx(1), 0)
            assert terms["behavior_kl"].item() == pytest.approx(0, abs=1e-6)
    for ours, theirs in zip(*gradients):
        torch.testing.assert_close(ours, theirs)


def test_pieces_add_up_to_the_minibatch(learning, played):
    states, rollout = played
    algorithm = IMPALA()
    samples = only_minibatch(algorithm, rollout)
    loss, terms = algorithm.loss(learning(states, samples), samples, 0)
    pieces = samples.split(2 * (NUM_STEPS + 1) + 3)
    assert [piece.num_units for piece in pieces] == [2, 2, 2]
    parts = [algorithm.loss(learning(states, piece), piece, 0) for piece in pieces]
    torch.testing.assert_close(sum(part for part, _ in parts), loss)
    for name, value in terms.items():
        torch.testing.assert_close(sum(part[name] for _, part in parts), value)


def test_reset_steps_and_the_bootstrap_have_no_gradient(played):
    _, rollout = played
    algorithm = IMPALA()
    batch = algorithm.prepare(rollout)
    logits = torch.randn(len(batch), 2, requires_grad=True)
    values = torch.randn(len(batch), requires_grad=True)
    loss, _ = algorithm.loss(ActorCriticOutput(logits, values), batch, 0)
    counts = torch.cat([rollout.valid, torch.zeros(1, NUM_ENVS, dtype=torch.bool)]).flatten()
    for gradient in torch.autograd.grad(loss, (logits, values)):
        assert not gradient[~counts].any()
        assert gradient[counts].count_nonzero() > 0.9 * gradient[counts].numel()


def test_minibatches_are_whole_columns_with_weights_of_their_own(played):
    _, rollout = played
    algorithm = IMPALA(num_minibatches=4)
    batch = algorithm.prepare(rollout)
    minibatches = list(algorithm.minibatches(batch, torch.Generator().manual_seed(0)))
    columns = [minibatch.env.view(NUM_STEPS + 1, -1)[0].tolist() for minibatch in minibatches]
    assert [len(part) for part in columns] == [2, 2, 1, 1]
    order = list(chain.from_iterable(columns))
    assert sorted(order) == list(range(NUM_ENVS)) != order
    for minibatch in minibatches:
        time = minibatch.time.view(NUM_STEPS + 1, -1)
        assert torch.equal(time[:, 0], torch.arange(NUM_STEPS + 1))
        steps, env = time[:-1], minibatch.env.view_as(time)[:-1]
        assert torch.equal(minibatch.rewards.view_as(time)[:-1], rollout.rewards[steps, env])
        weights = minibatch.weights.view_as(time)
        assert torch.equal(weights[:-1] > 0, rollout.valid[steps, env])
        assert not weights[-1].any()
        assert weights.sum().item() == pytest.approx(1)


def test_a_rank_without_a_column_of_a_minibatch_has_nothing_to_add(learning, played):
    states, rollout = played
    algorithm = IMPALA(num_minibatches=2 * NUM_ENVS)  # of two ranks: a column for one of them
    batch = algorithm.prepare(rollout)
    ranks = Ranks(rank=0, size=2)
    minibatches = algorithm.minibatches(batch, torch.Generator().manual_seed(0), ranks)
    empty = next(minibatch for minibatch in minibatches if len(minibatch) == 0)
    loss, terms = algorithm.loss(learning(states, empty), empty, 0)
    assert loss == 0 and not any(terms.values())
    assert not any(gradient.any() for gradient in learning.gradients(loss))


def test_life_loss_and_clipping_are_the_learners_view(played):
    _, rollout = played
    rollout.rewards[0, 0], rollout.life_lost[1, 1] = -7.0, True
    plain = IMPALA().prepare(rollout)
    seen = IMPALA(view=View(terminal_on_life_loss=True, clip_rewards=True)).prepare(rollout)
    assert (plain.rewards[0], seen.rewards[0]) == (-7, -1)
    place = 1 * NUM_ENVS + 1
    assert seen.terminated[place] and torch.equal(plain.terminated[:place], seen.terminated[:place])
    assert rollout.rewards[0, 0] == -7 and not rollout.terminated[1, 1]


def test_what_is_said_of_the_values_is_of_those_that_acted(played):
    _, rollout = played
    batch = IMPALA(discount=0.9).prepare(rollout)
    steps = (rollout.rewards, rollout.values, rollout.terminated, rollout.truncated)
    expected = n_step_returns(*steps, discount=0.9, n_step=NUM_STEPS)
    counts = batch.weights > 0
    torch.testing.assert_close(batch.returns[counts], expected[rollout.valid])
    assert torch.equal(batch.values[counts], rollout.values[:-1][rollout.valid])
