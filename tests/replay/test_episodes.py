"""Whole returns: what may be drawn, and all that is read, equal a plain list of steps."""

from __future__ import annotations

import pytest
import torch

from accel.algos import View
from accel.replay import EpisodeReader, Replay, TransitionReader
from accel.replay.episodes import whole_returns
from accel.types import Rollout
from tests.replay.plain_replay import PlainReplay, RandomGames, make_spec, sampleable, to_device

DISCOUNT = 0.9
NUM_ENVS, NUM_ROWS = 5, 16  # episodes have 1 to 20 steps: some are longer than the ring


def make_replay(reader, frame_stack=1, rollout_length=4, device="cpu", **settings) -> Replay:
    return Replay(
        make_spec(frame_stack),
        reader,
        capacity=NUM_ROWS * NUM_ENVS,
        num_envs=NUM_ENVS,
        rollout_length=rollout_length,
        device=device,
        **settings,
    )


def check_all(replay: Replay, plain: PlainReplay, learner_view: bool, device: str) -> int:
    """Every item that there is; returns how many."""
    places = sorted(plain.whole_episodes(learner_view))
    assert sampleable(replay, plain.games.num_rows) == set(places)
    assert replay.can_sample == bool(places)
    if not places:
        return 0
    rows, columns = torch.tensor(places, device=device).unbind(1)
    read = vars(replay._reader.read(replay._ring, rows % NUM_ROWS, columns))
    to_the_end = (100, DISCOUNT, learner_view, learner_view)
    expected = [plain.transition(*place, *to_the_end) for place in places]
    for name, tensor in read.items():
        wanted = torch.tensor([fields[name] for fields in expected], device=device)
        torch.testing.assert_close(tensor, wanted.to(tensor.dtype))
    return len(places)


@pytest.mark.parametrize("frame_stack", [1, 4])
@pytest.mark.parametrize("rollout_length", [1, 4, 8])
@pytest.mark.parametrize("learner_view", [False, True])
def test_equals_a_plain_list_of_steps(frame_stack, rollout_length, learner_view, device):
    """Over several turns of the ring, every item there is after each append."""
    games = RandomGames(NUM_ENVS, rollout_length, frame_stack, seed=rollout_length)
    reader = EpisodeReader(DISCOUNT, View(learner_view, learner_view))
    replay = make_replay(reader, frame_stack, rollout_length, device)
    plain, num_read = PlainReplay(games, NUM_ROWS), 0
    for _ in range(400 // rollout_length):
        replay.append(to_device(games.rollout(), device))
        num_read += check_all(replay, plain, learner_view, device)
    assert num_read > 1000 // rollout_length


@pytest.mark.parametrize("appends", [2, 7])
def test_reads_the_same_however_seldom_it_is_asked_to(appends, device):
    """Of more rows than the ring holds it takes in those still there, as after a resume."""
    games, replay = RandomGames(NUM_ENVS, 4, 4, seed=2), make_replay(EpisodeReader(DISCOUNT), 4)
    plain = PlainReplay(games, NUM_ROWS)
    for _ in range(10):
        for _ in range(appends):
            replay.append(to_device(games.rollout(), device))
        assert check_all(replay, plain, False, device) > 0


def test_new_items_come_in_at_the_greatest_priority():
    games = RandomGames(NUM_ENVS, 4, 1, seed=1)
    replay = make_replay(EpisodeReader(DISCOUNT), priority_exponent=1.0)
    for _ in range(5):
        replay.append(games.rollout())
    before = sampleable(replay, games.num_rows)
    draw, _ = replay.sample(2000)
    replay.update_priorities(draw, torch.full((2000,), 3.0))
    replay.append(games.rollout())
    new = sampleable(replay, games.num_rows) - before
    assert new
    items = torch.tensor([row % NUM_ROWS * NUM_ENVS + column for row, column in new])
    assert replay._items.weights(items).unique().tolist() == [int((3 + 1e-6) * 2**20)]


def endless(num_steps: int, last_step: int | None = None) -> Rollout:
    """A rollout within one episode, which is truncated at `last_step` in column 2, if at all."""
    rollout = RandomGames(NUM_ENVS, num_steps, 1, seed=0).rollout()
    rollout.terminated[:] = rollout.truncated[:] = False
    rollout.valid[:] = True
    if last_step is not None:
        rollout.truncated[last_step, 2] = True
    return rollout


def test_says_when_it_can_be_drawn_from():
    """From the last frame of the first episode on, until its last step is there no more."""
    replay, can = make_replay(EpisodeReader()), []
    for last_step in (None, 3, None, None, None, None):
        replay.append(endless(4, last_step))
        can.append(replay.can_sample)
    assert can == [False, False, True, True, True, False]  # the end is row 7, of 16 rows held
    with pytest.raises(ValueError, match="after 24 rows the replay has nothing to sample"):
        replay.sample(1)


def test_a_replay_of_another_kind_is_not_gone_on_from():
    steps, episodes = make_replay(TransitionReader()), make_replay(EpisodeReader())
    with pytest.raises(ValueError, match="differs: whole_episodes False -> True"):
        episodes.load_state_dict(steps.state_dict())


def test_returns_by_hand():
    """Two episodes, of two steps and of one, and one that goes on."""
    rewards = torch.tensor([1.0, 2.0, 4.0, torch.nan]).unsqueeze(1)
    ended = torch.tensor([False, True, True, False]).unsqueeze(1)
    returns, steps = whole_returns(rewards, ended, 0.5)
    assert steps.squeeze(1).tolist() == [2, 1, 1, 0]
    assert returns[:3].squeeze(1).tolist() == [2.0, 2.0, 4.0]


@pytest.mark.parametrize("discount", [1.0, 0.97, 0.0])
@pytest.mark.parametrize("num_rows", [1, 2, 3, 100, 129])
def test_returns_are_those_of_a_loop_and_do_not_depend_on_where_rows_are_cut(num_rows, discount):
    generator = torch.Generator().manual_seed(num_rows)
    rewards = torch.randn(num_rows, 6, generator=generator)
    ended = torch.rand(num_rows, 6, generator=generator) < 0.04
    returns, steps = whole_returns(rewards, ended, discount)
    expected, length = torch.zeros(num_rows, 6, dtype=torch.float64), torch.zeros_like(steps)
    for row in reversed(range(num_rows)):
        following = (expected[row + 1], length[row + 1]) if row + 1 < num_rows else (0.0, 0)
        known = ended[row] | (torch.as_tensor(following[1]) > 0)
        expected[row] = rewards[row] + discount * ~ended[row] * following[0]
        length[row] = known * (1 + ~ended[row] * following[1])
    assert torch.equal(steps, length.int())
    known = steps > 0
    torch.testing.assert_close(returns[known].double(), expected[known], rtol=1e-5, atol=1e-5)
    for first in range(0, num_rows, 7):
        cut, cut_steps = whole_returns(rewards[first:], ended[first:], discount)
        assert torch.equal(cut_steps, steps[first:])
        assert torch.equal(cut[cut_steps > 0], returns[first:][cut_steps > 0])
