"""Any number of ranks draws the same batches, and goes on from each other's states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from accel.algos import Ranks, View
from accel.learning.sync import Alone
from accel.replay import EpisodeReader, Replay, SequenceReader, TransitionReader
from accel.runners.replay_journal import ReplayJournal
from accel.runners.replay_segments import Segments
from accel.types import Rollout
from tests.replay.plain_replay import STATE_SIZE, RandomGames, columns_of, make_spec, to_device
from tests.replay.team import Member, Team

ENVS, LENGTH, BATCH = 8, 4, 24
READERS = {
    "transitions": lambda: TransitionReader(3),
    "episodes": lambda: EpisodeReader(view=View(terminal_on_life_loss=True)),
    "sequences": lambda: SequenceReader(2, 3, 2),
}
ALPHAS = {"uniform": None, "prioritized": 0.6}


def our_columns(ranks: Ranks) -> slice:
    each = ENVS // ranks.size
    return slice(ranks.rank * each, (ranks.rank + 1) * each)


def new_replay(
    reader: str, chooser: str, ranks: Ranks, device: str = "cpu", ring_device: str = "cpu"
) -> Replay:
    return Replay(
        make_spec(4),
        READERS[reader](),
        capacity=16 * ENVS,
        num_envs=ENVS,
        rollout_length=LENGTH,
        priority_exponent=ALPHAS[chooser],
        state_size=STATE_SIZE,
        seed=3,
        device=device,
        ring_device=ring_device,
        ranks=ranks,
    )


def go_on(replay: Replay, rollouts: list[Rollout], ranks: Ranks, device: str = "cpu") -> list[Any]:
    """Append, sample and set priorities that depend on the item alone; what was drawn and read."""
    history = []
    for rollout in rollouts:
        replay.append(to_device(columns_of(rollout, our_columns(ranks)), device))
        for batch_size in (BATCH, 1):  # of one item the other ranks hold nothing
            draw, record = replay.sample(batch_size, beta=0.5)
            history.append((draw, vars(record)))
            replay.update_priorities(draw, (draw.items[draw.positions] % 7 + 0.1).float())
    return history


def start(reader: str, chooser: str, ranks: Ranks, rollouts: list[Rollout]) -> Replay:
    replay = new_replay(reader, chooser, ranks)
    for rollout in rollouts:
        replay.append(columns_of(rollout, our_columns(ranks)))
    return replay


def rollouts_of(num: int) -> list[Rollout]:
    games = RandomGames(ENVS, LENGTH, 4, seed=4)
    return [games.rollout() for _ in range(num)]


def batch_axis(tensor: torch.Tensor, name: str, reader: str) -> int:
    return 1 if reader == "sequences" and name != "state" else 0


def check_same(alone: list[Any], shared: list[list[Any]], reader: str) -> None:
    """All ranks drew what one alone did, and each read just its own part of that."""
    for step, (whole, fields) in enumerate(alone):
        parts = [history[step] for history in shared]
        held = torch.cat([draw.positions for draw, _ in parts])
        assert torch.equal(held.sort().values, torch.arange(len(whole.items)))
        for draw, record in parts:
            assert torch.equal(draw.items, whole.items)
            assert torch.equal(draw.weights, whole.weights[draw.positions])
            for name, tensor in record.items():
                axis = batch_axis(tensor, name, reader)
                assert torch.equal(tensor, fields[name].index_select(axis, draw.positions)), name


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("chooser", list(ALPHAS))
@pytest.mark.parametrize("reader", list(READERS))
def test_ranks_draw_what_one_draws_alone(reader, chooser, size):
    rollouts = rollouts_of(12)

    def program(member: Member) -> list[Any]:
        ranks = member.ranks
        return go_on(start(reader, chooser, ranks, rollouts[:5]), rollouts[5:], ranks)

    (alone,) = Team(1).run(program)
    check_same(alone, Team(size).run(program), reader)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_batches_drawn_together_are_those_drawn_one_by_one(size):
    rollouts = rollouts_of(6)

    def program(member: Member) -> None:
        together, one_by_one = (
            start("transitions", "uniform", member.ranks, rollouts) for _ in range(2)
        )
        draw, record = together.sample(BATCH, num_batches=3)
        assert len(draw.batches) == 3
        for number, batch in enumerate(draw.batches):
            single, part = one_by_one.sample(BATCH)
            assert torch.equal(draw.items[number * BATCH :][:BATCH], single.items)
            assert torch.equal(draw.weights[batch], single.weights)
            for name, tensor in vars(record).items():
                assert torch.equal(tensor[batch], getattr(part, name)), name

    Team(size).run(program)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 4), (4, 1)])
@pytest.mark.parametrize("num_before", [3, 7])  # rollouts: before and after the ring is full
@pytest.mark.parametrize("chooser", list(ALPHAS))
@pytest.mark.parametrize("reader", list(READERS))
def test_goes_on_bit_for_bit_with_other_ranks(reader, chooser, num_before, sizes, tmp_path):
    """What `sizes[0]` ranks wrote to disk is loaded by `sizes[1]` ranks."""
    rollouts = rollouts_of(14)
    before, between, after = rollouts[:num_before], rollouts[num_before:9], rollouts[9:]

    def save(member: Member) -> tuple[dict[str, Any], list[Any]]:
        replay = start(reader, chooser, member.ranks, before)
        if num_before > 3:
            go_on(replay, between, member.ranks)
        state = copied(journal_of(replay, member, tmp_path / f"{member.ranks.size}").save())
        return state, go_on(replay, after, member.ranks)

    state = Team(sizes[0]).run(save)[0][0]

    def load(member: Member) -> list[Any]:
        replay = new_replay(reader, chooser, member.ranks)
        journal_of(replay, member, tmp_path / f"{sizes[0]}").load(state)
        return go_on(replay, after, member.ranks)

    resumed = Team(sizes[1]).run(load)
    ((_, uninterrupted),) = Team(1).run(save)
    check_same(uninterrupted, resumed, reader)


def journal_of(replay: Replay, member: Alone, folder: Path) -> ReplayJournal:
    return ReplayJournal(replay, Segments(folder), member, keep_checkpoints=1, warn=print)


def copied(value: Any) -> Any:
    """As a checkpoint would: the replay goes on while it is kept."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


@pytest.mark.gpu
@pytest.mark.parametrize("ring_device", ["cuda", "cpu"])
@pytest.mark.parametrize("chooser", list(ALPHAS))
@pytest.mark.parametrize("reader", list(READERS))
def test_a_gpu_draws_what_a_cpu_draws(reader, chooser, ring_device, tmp_path):
    """Also where the steps lie on the host, and after a resume."""
    rollouts = rollouts_of(12)
    histories = []
    for device, place in (("cpu", "cpu"), ("cuda", ring_device)):
        replay = new_replay(reader, chooser, Ranks(), device, place)
        for rollout in rollouts[:5]:
            replay.append(to_device(rollout, device))
        state = journal_of(replay, Alone(), tmp_path / device).save()
        resumed = new_replay(reader, chooser, Ranks(), device, place)
        journal_of(resumed, Alone(), tmp_path / device).load(state)
        histories.append(go_on(resumed, rollouts[5:], Ranks(), device))
    for (draw, record), (on_gpu, gpu_record) in zip(*histories):
        assert torch.equal(draw.items, on_gpu.items.cpu())
        for name, tensor in record.items():
            assert gpu_record[name].is_cuda
            torch.testing.assert_close(gpu_record[name].cpu(), tensor)
