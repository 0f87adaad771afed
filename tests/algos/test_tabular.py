"""With a table as its network, value learning ends where dynamic programming says it must."""

import pytest
import torch

from accel.algos import C51, DQN, PQN, QSamples
from accel.algos.value_rescaling import unrescale
from accel.replay import EpisodeReader, Replay
from accel.types import EnvSpec, QOutput
from tests.algos.worlds import Walkers, chain, frozen_lake, mostly_greedy

TOLERANCE = 0.02


def every_transition(world, policy):
    """(states [n], states that follow [n], samples): all there are, weighted by their chance.

    Next actions are all those of `policy` [S, A], so there are S * A * O * A samples.
    """
    shape = (*world.chance.shape, world.chance.shape[1])
    s, a, o, next_a = torch.cartesian_prod(*map(torch.arange, shape)).unbind(1)
    following = world.following[s, a, o]
    samples = QSamples(
        actions=a,
        returns=world.reward[s, a, o],
        bootstrap=world.discount * ~world.ends[s, a, o],
        next_actions=next_a,
        weights=world.chance[s, a, o] * policy[following, next_a],
    )
    return s, following, samples


def swept(algorithm, world, policy, *, num_atoms=1, num_sweeps=600, target_every=5, rate=1.0):
    """The table [S, A, M] after gradient steps of size `rate` on all transitions at once.

    With half the squared error and rate 1 a step moves each entry to the mean of its targets.
    """
    states, following, samples = every_transition(world, policy)
    table = torch.zeros(*world.chance.shape[:2], num_atoms, requires_grad=True)
    for sweep in range(num_sweeps):
        if sweep % target_every == 0:
            target = table.detach().clone()
        loss, _, _ = algorithm.loss(
            QOutput(table[states]),
            samples,
            QOutput(target[following]),
            QOutput(table.detach()[following]),
        )
        (gradient,) = torch.autograd.grad(loss, table)
        table.data -= rate * gradient
    return table.detach()


def assert_close(values, expected):
    torch.testing.assert_close(values, expected, rtol=0, atol=TOLERANCE)


@pytest.fixture(params=[chain, frozen_lake])
def world(request):
    return request.param()


@pytest.mark.parametrize("double", [False, True])
def test_q_learning_finds_the_optimal_values(world, double):
    optimal = world.optimal_values()
    assert optimal.max() > 10 * TOLERANCE
    policy = torch.full_like(optimal, 1 / optimal.shape[1])
    assert_close(swept(DQN(double=double), world, policy).squeeze(2), optimal)


def test_sarsa_finds_the_values_of_the_policy_that_acts(world):
    policy = mostly_greedy(world.optimal_values(), epsilon=0.3)
    expected = world.values_of(policy)
    assert (world.optimal_values() - expected).max() > 2 * TOLERANCE
    assert_close(swept(DQN(sarsa=True), world, policy).squeeze(2), expected)


def test_rescaled_values_mean_the_same_where_nothing_is_left_to_chance():
    world = chain(slip=0.0)
    optimal = world.optimal_values()
    table = swept(DQN(value_rescaling=True), world, torch.full_like(optimal, 0.5))
    assert_close(unrescale(table.squeeze(2)), optimal)
    assert (table.squeeze(2) - optimal).abs().max() > 2 * TOLERANCE


def test_c51_expects_the_optimal_values():
    world = chain()
    optimal = world.optimal_values()
    algorithm = C51(v_min=-0.5, v_max=1.5)
    uniform = torch.full_like(optimal, 0.5)
    logits = swept(algorithm, world, uniform, num_atoms=11, num_sweeps=2000, rate=2.0)
    assert_close(algorithm.q_values(QOutput(logits)), optimal)


@pytest.mark.parametrize(
    ("q_lambda", "backup"), [(0.0, "max"), (0.0, "mean"), (0.65, "mean"), (1.0, "mean")]
)
def test_pqn_learns_from_rollouts_what_the_acting_policys_values_say(q_lambda, backup):
    world = chain()
    optimal = world.optimal_values()
    policy = mostly_greedy(optimal, epsilon=0.6)
    expected = optimal if backup == "max" else world.values_of(policy)
    algorithm = PQN(discount=world.discount, q_lambda=q_lambda, num_minibatches=2)
    walkers = Walkers(world, num_envs=256, seed=0)
    generator = torch.Generator().manual_seed(0)
    table = torch.zeros(5, 2, 1, requires_grad=True)
    for update in range(300):
        q_values = algorithm.q_values(QOutput(table.detach()))
        state_values = q_values.amax(1) if backup == "max" else (policy * q_values).sum(1)
        states, rollout = walkers.rollout(policy, state_values, num_steps=8)
        for samples in algorithm.minibatches(algorithm.prepare(rollout), generator):
            output = QOutput(table[states[samples.time, samples.env]])
            loss, _ = algorithm.loss(output, samples, agent_steps=0)
            (gradient,) = torch.autograd.grad(loss, table)
            table.data -= 4 / (1 + update / 30) * gradient
    assert_close(table.detach().squeeze(2), expected)


def test_whole_returns_from_replay_average_to_the_acting_policys_values():
    """Games cut short go on with the value of where they were cut."""
    world = chain()
    policy = mostly_greedy(world.optimal_values(), epsilon=0.6)
    expected = world.values_of(policy)
    state_values = (policy * expected).sum(1)
    walkers, num_envs, num_rows = Walkers(world, num_envs=256, seed=0), 256, 512
    replay = Replay(
        EnvSpec((1,), "int64", 1, 2, 1),
        EpisodeReader(world.discount),
        capacity=num_rows * num_envs,
        num_envs=num_envs,
        rollout_length=64,
    )
    for _ in range(10):  # the ring is full after eight
        _, rollout = walkers.rollout(policy, state_values, num_steps=64)
        replay.append(rollout)
    _, batch = replay.sample(200_000)
    targets = batch.returns + batch.bootstrap * state_values[batch.next_observations.flatten()]
    cells = batch.observations.flatten() * 2 + batch.actions
    sums = torch.zeros(10).index_add_(0, cells, targets)
    assert_close((sums / cells.bincount()).view(5, 2), expected)
