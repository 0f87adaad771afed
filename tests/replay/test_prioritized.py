"""Prioritized draws: probabilities, importance weights, new and changed priorities."""

from __future__ import annotations

import math

import pytest
import torch

from accel.replay import Replay, TransitionReader
from accel.replay.prioritized import ONE
from tests.replay.plain_replay import PlainReplay, RandomGames, make_spec, sampleable, to_device

ROWS, ENVS, LENGTH, N_STEP = 16, 4, 4, 3


def filled(device: str, alpha: float, num_rollouts: int = 6) -> tuple[Replay, RandomGames]:
    games = RandomGames(ENVS, LENGTH, 4, seed=2)
    replay = Replay(
        make_spec(4),
        TransitionReader(N_STEP),
        capacity=ROWS * ENVS,
        num_envs=ENVS,
        rollout_length=LENGTH,
        priority_exponent=alpha,
        device=device,
    )
    for _ in range(num_rollouts):
        replay.append(to_device(games.rollout(), device))
    return replay, games


def all_items(replay: Replay) -> torch.Tensor:
    items = torch.arange(ROWS * ENVS, device=replay._ring.frames.device)
    return items[replay._items.weights(items) > 0]


def set_priorities(replay: Replay) -> dict[int, float]:
    """Give every sampleable item a priority of its own."""
    items = all_items(replay)
    priorities = 0.01 + torch.rand(len(items), generator=torch.Generator().manual_seed(5))
    replay._chooser.update(items, priorities.to(items.device))
    return dict(zip(items.tolist(), priorities.tolist()))


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_draws_in_proportion_to_priorities(alpha, device):
    replay, _ = filled(device, alpha)
    priorities = set_priorities(replay)
    powers = {item: p**alpha for item, p in priorities.items()}
    num_draws, total = 100_000, sum(powers.values())
    draw, _ = replay.sample(num_draws)
    counts = torch.bincount(draw.items.cpu(), minlength=ROWS * ENVS).tolist()
    assert sum(counts[item] for item in powers) == num_draws
    for item, power in powers.items():
        # Strata, narrower than any item, leave a count within 2 of what is expected.
        assert abs(counts[item] - num_draws * power / total) < 2.5


def test_one_draw_from_each_stratum(device):
    """With four equal items and four draws each item comes once, in the order of the table."""
    replay, _ = filled(device, 1.0)
    items = all_items(replay)
    priorities = torch.full((len(items),), 1e-12, device=device)
    priorities[[1, 4, 6, 9]] = 1e6
    replay._chooser.update(items, priorities)
    for _ in range(20):
        draw, _ = replay.sample(4)
        assert torch.equal(draw.items, items[[1, 4, 6, 9]])


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_importance_weights_by_hand(beta, device):
    replay, _ = filled(device, 0.6)
    priorities = set_priorities(replay)
    draw, _ = replay.sample(32, beta)
    total = sum(p**0.6 for p in priorities.values())
    chances = [priorities[item] ** 0.6 / total for item in draw.items.tolist()]
    weights = [(len(priorities) * chance) ** -beta for chance in chances]
    expected = [weight / max(weights) / 32 for weight in weights]
    torch.testing.assert_close(draw.weights.cpu(), torch.tensor(expected), rtol=1e-3, atol=0)


def test_new_items_come_in_at_the_greatest_priority_so_far(device):
    replay, games = filled(device, 0.5)
    items = all_items(replay)
    assert replay._items.weights(items).tolist() == [ONE] * len(items)
    replay._chooser.update(items[:2], torch.tensor([9.0, 4.0], device=device))
    replay._chooser.update(items[:1], torch.tensor([0.25], device=device))
    before = sampleable(replay, games.num_rows)
    replay.append(to_device(games.rollout(), device))
    new = sorted(sampleable(replay, games.num_rows) - before)
    places = torch.tensor([row % ROWS * ENVS + column for row, column in new], device=device)
    weights = replay._items.weights(places)
    assert len(new) > ENVS
    assert weights.tolist() == pytest.approx([3 * ONE] * len(new), rel=1e-6)


def test_what_was_closed_meanwhile_stays_closed(device):
    """Priorities that come after an append must not open the cursor's zone again."""
    replay, games = filled(device, 0.6)
    draw, _ = replay.sample(256)
    replay.append(to_device(games.rollout(), device))
    replay.update_priorities(draw, torch.full((256,), 5.0, device=device))
    assert sampleable(replay, games.num_rows) == PlainReplay(games, ROWS).transitions(N_STEP)
    weights = replay._items.weights(draw.items)
    assert bool((weights == 0).any()) and bool((weights > 0).any())


def test_a_loss_gone_bad_does_not_break_the_draws(device):
    replay, games = filled(device, 0.6)
    draw, _ = replay.sample(64)
    priorities = torch.ones(64, device=device)
    priorities[::4] = math.nan
    priorities[1::4] = math.inf
    priorities[2::4] = -math.inf
    replay.update_priorities(draw, priorities)
    assert sampleable(replay, games.num_rows) == PlainReplay(games, ROWS).transitions(N_STEP)
    draw, _ = replay.sample(64)
    assert bool((replay._items.weights(draw.items) > 0).all())
    assert bool(draw.weights.isfinite().all())


def test_an_item_drawn_twice_keeps_its_greatest_priority(device):
    replay, _ = filled(device, 1.0)
    draw, _ = replay.sample(256)
    priorities = torch.rand(256, generator=torch.Generator().manual_seed(6)).to(device)
    replay.update_priorities(draw, priorities)
    greatest: dict[int, float] = {}
    for item, priority in zip(draw.items.tolist(), priorities.tolist()):
        greatest[item] = max(greatest.get(item, 0.0), priority)
    items = torch.tensor(list(greatest), device=device)
    expected = torch.tensor(list(greatest.values()), dtype=torch.float64) + 1e-6
    assert len(greatest) < 64
    weights = replay._items.weights(items).cpu().double()
    torch.testing.assert_close(weights, expected * ONE, rtol=0, atol=1)
