"""Samples from a rollout: the learner's views, the weights, minibatches and pieces."""

import copy
from itertools import chain

import pytest
import torch

from accel.algos.actor_critic import (
    as_minibatches,
    prepare_batch,
    shuffled_minibatches,
)
from accel.algos.ranks import Ranks
from accel.algos.rollout_samples import (
    View,
    explained_variance,
    filled_up,
    grain,
    mean_weights,
    shuffled,
)
from accel.algos.shuffling import deal
from accel.models.graphs import MAX_RECORDINGS
from accel.types import Rollout

NUM_STEPS, NUM_ENVS, NUM_ACTIONS = 6, 3, 4
ALL_STEPS = torch.arange(NUM_STEPS)


@pytest.fixture
def rollout():
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape):
        return torch.rand(*shape, generator=generator)

    shape = (NUM_STEPS, NUM_ENVS)
    return Rollout(
        frames=torch.zeros(NUM_STEPS + 1, NUM_ENVS, 2),
        age=torch.zeros(NUM_STEPS + 1, NUM_ENVS, dtype=torch.int32),
        actions=torch.randint(0, NUM_ACTIONS, shape, generator=generator),
        rewards=4 * uniform(*shape) - 2,
        terminated=torch.zeros(shape, dtype=torch.bool),
        truncated=torch.zeros(shape, dtype=torch.bool),
        life_lost=torch.zeros(shape, dtype=torch.bool),
        valid=torch.ones(shape, dtype=torch.bool),
        log_probs=uniform(*shape, NUM_ACTIONS).log_softmax(2),
        values=uniform(NUM_STEPS + 1, NUM_ENVS),
        policy_version=torch.zeros(NUM_STEPS, dtype=torch.int64),
    )


def prepare(rollout, **seen):
    return prepare_batch(rollout, discount=0.9, gae_lambda=0.8, view=View(**seen))


def test_samples_are_the_flat_rollout(rollout):
    batch = prepare(rollout)
    for n in range(len(batch)):
        t, b = batch.time[n], batch.env[n]
        action = rollout.actions[t, b]
        assert batch.actions[n] == action
        assert batch.log_probs[n] == rollout.log_probs[t, b, action]
        assert batch.values[n] == rollout.values[t, b]
    pairs = set(zip(batch.time.tolist(), batch.env.tolist()))
    assert len(pairs) == NUM_STEPS * NUM_ENVS


def test_a_lost_life_ends_the_episode_only_if_asked_to(rollout):
    plain = prepare(rollout)
    rollout.life_lost[2, 1] = True
    assert torch.equal(prepare(rollout).returns, plain.returns)
    seen = prepare(rollout, terminal_on_life_loss=True)
    rollout.terminated[2, 1] = True
    assert torch.equal(seen.returns, prepare(rollout).returns)
    assert not torch.equal(seen.returns, plain.returns)


def test_clipped_rewards_keep_the_sign_only(rollout):
    rollout.rewards[0, 0] = 0.0
    clipped = prepare(rollout, clip_rewards=True)
    rollout.rewards = rollout.rewards.sign()
    assert torch.equal(clipped.returns, prepare(rollout).returns)


def test_the_rollout_is_left_alone(rollout):
    rollout.life_lost[2, 1] = True
    before = copy.deepcopy(rollout)
    prepare(rollout, terminal_on_life_loss=True, clip_rewards=True)
    for name, tensor in vars(before).items():
        after = getattr(rollout, name)
        assert after is tensor is None or torch.equal(after, tensor)


def test_an_epoch_holds_every_sample_once(rollout):
    batch = prepare(rollout)
    generator = torch.Generator().manual_seed(0)
    minibatches = list(shuffled_minibatches(batch, 4, False, generator))
    assert [len(minibatch) for minibatch in minibatches] == [5, 5, 4, 4]
    seen = [(t, b) for m in minibatches for t, b in zip(m.time.tolist(), m.env.tolist())]
    assert sorted(seen) == sorted(zip(batch.time.tolist(), batch.env.tolist()))
    other = next(shuffled_minibatches(batch, 4, False, generator))
    assert not torch.equal(other.time, minibatches[0].time)


def columns_of(minibatch):
    """The columns of samples that must be whole columns, time-major."""
    time, env = minibatch.time.view(NUM_STEPS, -1), minibatch.env.view(NUM_STEPS, -1)
    assert torch.equal(time, ALL_STEPS.unsqueeze(1).expand_as(time))
    assert torch.equal(env, env[:1].expand_as(env))
    return env[0].tolist()


def test_samples_of_a_recurrent_network_keep_whole_columns(rollout):
    rollout.state = torch.zeros(NUM_ENVS, 5)
    batch = prepare(rollout)
    generator = torch.Generator().manual_seed(0)
    epochs = [list(shuffled_minibatches(batch, 2, False, generator)) for _ in range(10)]
    orders = [[columns_of(minibatch) for minibatch in epoch] for epoch in epochs]
    assert all([len(part) for part in order] == [2, 1] for order in orders)
    assert all(sorted(chain(*order)) == [0, 1, 2] for order in orders)
    assert len({str(order) for order in orders}) > 1
    returns = batch.returns.view(NUM_STEPS, NUM_ENVS)
    for minibatch in epochs[0]:
        assert torch.equal(minibatch.returns, returns[minibatch.time, minibatch.env])


@pytest.mark.parametrize(
    ("limit", "sizes"), [(None, [3]), (18, [3]), (17, [2, 1]), (7, [1] * 3), (1, [1] * 3)]
)
def test_no_column_is_cut_into_pieces(rollout, limit, sizes):
    rollout.state = torch.zeros(NUM_ENVS, 5)
    batch = prepare(rollout)
    pieces = batch.split(limit)
    assert [piece.num_units for piece in pieces] == sizes
    assert list(chain(*(columns_of(piece) for piece in pieces))) == [0, 1, 2]
    assert float(sum(piece.weights.sum() for piece in pieces)) == pytest.approx(1)


@pytest.mark.parametrize("state_size", [0, 5])
def test_minibatches_do_not_depend_on_the_number_of_ranks(rollout, state_size):
    def parts(columns, ranks):
        ours = copy.copy(rollout)
        if state_size:
            ours.state = torch.zeros(NUM_ENVS, state_size)[columns]
        for name in ("actions", "rewards", "terminated", "truncated", "life_lost", "valid"):
            setattr(ours, name, getattr(rollout, name)[:, columns])
        ours.log_probs, ours.values = rollout.log_probs[:, columns], rollout.values[:, columns]
        generator = torch.Generator().manual_seed(0)
        return [part.returns.tolist() for part in shuffled(prepare(ours), 4, generator, ranks)]

    alone = parts(slice(None), Ranks())
    together = [parts(slice(r, r + 1), Ranks(rank=r, size=NUM_ENVS)) for r in range(NUM_ENVS)]
    for part, *pieces in zip(alone, *together):
        assert sorted(part) == sorted(chain(*pieces))


def test_weights_take_the_mean_over_valid_samples(rollout):
    rollout.valid[3, 0] = rollout.valid[1, 2] = False
    [minibatch] = as_minibatches([prepare(rollout)], normalize_advantages=False)
    valid = rollout.valid.flatten()
    mean = (minibatch.weights * minibatch.returns).sum()
    torch.testing.assert_close(mean, minibatch.returns[valid].mean())
    assert mean_weights(torch.zeros(3, dtype=torch.bool)).tolist() == [0, 0, 0]


def test_normalization_is_over_valid_samples_only(rollout):
    rollout.valid[3, 0] = rollout.valid[1, 2] = False
    batch = prepare(rollout)
    batch.advantages[~rollout.valid.flatten()] = 1e6
    [minibatch] = as_minibatches([batch], normalize_advantages=True)
    valid = rollout.valid.flatten()
    kept = batch.advantages[valid]
    expected = (kept - kept.mean()) / (kept.std() + 1e-8)
    torch.testing.assert_close(minibatch.advantages[valid], expected)


def test_a_single_valid_sample_normalizes_to_zero(rollout):
    rollout.valid[:] = False
    rollout.valid[3, 0] = True
    [minibatch] = as_minibatches([prepare(rollout)], normalize_advantages=True)
    assert minibatch.advantages[minibatch.weights > 0].tolist() == [0]


@pytest.mark.parametrize("normalize_advantages", [False, True])
def test_an_epoch_takes_one_exchange(rollout, normalize_advantages):
    exchanges = []
    ranks = Ranks(total=lambda tensor: exchanges.append(tensor.shape) or tensor)
    generator = torch.Generator().manual_seed(0)
    batch = prepare(rollout)
    list(shuffled_minibatches(batch, 4, normalize_advantages, generator, ranks))
    assert len(exchanges) == 1
    explained_variance(batch, ranks)
    assert len(exchanges) == 2


@pytest.mark.parametrize(
    ("limit", "sizes"), [(None, [18]), (18, [18]), (7, [6, 6, 6]), (1, [1] * 18)]
)
def test_pieces_are_nearly_equal_and_complete(rollout, limit, sizes):
    batch = prepare(rollout)
    pieces = batch.split(limit)
    assert [len(piece) for piece in pieces] == sizes
    assert torch.equal(torch.cat([piece.returns for piece in pieces]), batch.returns)
    assert float(sum(piece.weights.sum() for piece in pieces)) == pytest.approx(1)


def test_explained_variance(rollout):
    rollout.valid[3, 0] = False
    batch = prepare(rollout)
    valid = rollout.valid.flatten()
    returns, values = batch.returns[valid], batch.values[valid]
    expected = 1 - (returns - values).var() / returns.var()
    torch.testing.assert_close(explained_variance(batch), expected)


@pytest.mark.parametrize(("num_units", "num_minibatches"), [(16, 4), (32, 4), (1024, 4), (64, 1)])
def test_a_ranks_parts_have_few_sizes_once_filled_up(num_units, num_minibatches):
    """Fewer than there are recordings; of a few columns as of many samples."""
    generator, ranks = torch.Generator().manual_seed(0), Ranks(rank=0, size=8)
    multiple = grain(num_units / num_minibatches)
    sizes = {
        -(-len(part) // multiple) * multiple
        for _ in range(100)
        for part in deal(num_units, num_units, num_minibatches, generator, ranks)
    }
    assert len(sizes) < MAX_RECORDINGS
    assert max(sizes) <= num_units + multiple


@pytest.mark.parametrize(("count", "filled"), [(5, 8), (8, 8), (0, 0)])
@pytest.mark.parametrize("recurrent", [False, True])
def test_filling_up_adds_samples_without_weight(rollout, count, filled, recurrent):
    """So that CUDA graphs see few sizes; of a recurrent network's rollout whole columns."""
    if recurrent:
        rollout.state = torch.zeros(NUM_ENVS, 2)
        count, filled = min(count, 2), min(filled, 3)
    multiple = 3 if recurrent else 4
    batch = prepare(rollout)
    units = torch.randperm(batch.num_units)[:count]
    plain, padded = batch.take(units), filled_up(batch, units, multiple)
    assert padded.num_units == filled
    counts = padded.weights > 0
    assert int(counts.sum()) == len(plain)
    for name in ("time", "env", "advantages", "weights"):
        assert torch.equal(getattr(padded, name)[counts], getattr(plain, name))
