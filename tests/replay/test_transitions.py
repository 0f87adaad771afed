"""What may be sampled, and every transition read, equal a plain list of steps."""

from __future__ import annotations

import pytest
import torch

from accel.algos import View
from accel.replay import Replay, TransitionReader
from tests.replay.plain_replay import PlainReplay, RandomGames, make_spec, sampleable, to_device

DISCOUNT = 0.9
SETTINGS = [  # n_step, K, T
    (1, 1, 1),
    (1, 4, 4),
    (3, 1, 8),
    (3, 4, 1),
    (3, 4, 8),
    (5, 4, 4),
    (5, 1, 8),
    (5, 4, 8),
]


@pytest.mark.parametrize("n_step, frame_stack, rollout_length", SETTINGS)
@pytest.mark.parametrize("learner_view", [False, True])
def test_equals_a_plain_list_of_steps(n_step, frame_stack, rollout_length, learner_view, device):
    """Over several turns of the ring, every item there is after each append."""
    games = RandomGames(5, rollout_length, frame_stack, seed=n_step)
    view = {"terminal_on_life_loss": learner_view, "clip_rewards": learner_view}
    replay = Replay(
        make_spec(frame_stack),
        TransitionReader(n_step, DISCOUNT, View(**view)),
        capacity=16 * 5,
        num_envs=5,
        rollout_length=rollout_length,
        device=device,
    )
    plain, num_read = PlainReplay(games, 16), 0
    for _ in range(400 // rollout_length):
        replay.append(to_device(games.rollout(), device))
        places = sorted(plain.transitions(n_step))
        assert sampleable(replay, games.num_rows) == set(places)
        if not places:
            continue
        rows, columns = torch.tensor(places, device=device).unbind(1)
        read = vars(replay._reader.read(replay._ring, rows % 16, columns))
        expected = [plain.transition(*place, n_step, DISCOUNT, **view) for place in places]
        for name, tensor in read.items():
            wanted = torch.tensor([fields[name] for fields in expected], device=device)
            torch.testing.assert_close(tensor, wanted.to(tensor.dtype))
        num_read += len(places)
    assert num_read > 1000 // rollout_length


def test_only_sampleable_transitions_are_drawn_all_equally_often(device):
    games = RandomGames(4, 4, 4, seed=1)
    replay = Replay(
        make_spec(4),
        TransitionReader(3),
        capacity=64,
        num_envs=4,
        rollout_length=4,
        device=device,
    )
    for _ in range(7):
        replay.append(to_device(games.rollout(), device))
    places = PlainReplay(games, 16).transitions(3)
    num_draws = 400 * len(places)
    draw, transitions = replay.sample(num_draws)
    rows, columns = replay._items.place(draw.items)
    drawn = list(zip(rows.tolist(), columns.tolist()))
    counts = {(row % 16, column): 0 for row, column in places}
    for place in drawn:
        counts[place] += 1  # a KeyError: drawn, but not sampleable
    squares = sum((count - 400) ** 2 / 400 for count in counts.values())
    # Chi-square with k - 1 degrees of freedom: mean k - 1, variance 2 (k - 1).
    freedom = len(places) - 1
    assert abs(squares - freedom) < 4 * (2 * freedom) ** 0.5
    assert torch.equal(draw.positions.cpu(), torch.arange(num_draws))
    torch.testing.assert_close(draw.weights.cpu(), torch.full((num_draws,), 1 / num_draws))
    assert transitions.observations.shape == (num_draws, 4, 2)


def make_replay(**settings: int) -> Replay:
    sizes = {"capacity": 64, "num_envs": 4, "rollout_length": 4, **settings}
    return Replay(make_spec(4), TransitionReader(3), **sizes)


def test_holds_whole_rollouts_up_to_its_capacity():
    games, replay = RandomGames(4, 4, 4, seed=1), make_replay(capacity=79)  # 19 rows, 16 of them
    held = []
    for _ in range(6):
        replay.append(games.rollout())
        held.append(replay.num_steps)
    assert held == [16, 32, 48, 64, 64, 64]


def test_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"12 steps is smaller than one rollout: .* = 16"):
        make_replay(capacity=12)
    with pytest.raises(ValueError, match=r"4 rows is too short: .* reads 7 of them"):
        make_replay(capacity=16)
    with pytest.raises(ValueError, match=r"300 actions: .* 256 at most"):
        Replay(
            make_spec(4, num_actions=300),
            TransitionReader(),
            capacity=64,
            num_envs=4,
            rollout_length=4,
        )


def test_says_when_it_can_be_drawn_from():
    """Three steps with three frames before them: of rows 0..7 only 3 and 4, of 0..3 none."""
    games, replay = RandomGames(4, 4, 4, seed=1), make_replay()
    replay.append(games.rollout())
    assert not replay.can_sample
    with pytest.raises(ValueError, match="after 4 rows the replay has nothing to sample yet"):
        replay.sample(1)
    replay.append(games.rollout())
    assert replay.can_sample
    draw, _ = replay.sample(50)
    assert set((draw.items // 4).tolist()) == {3, 4}
