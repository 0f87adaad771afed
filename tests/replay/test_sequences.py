"""Sequences, over episodes' ends and the ring's border, equal a plain list of steps."""

from __future__ import annotations

import pytest
import torch

from accel.replay import Replay, SequenceReader
from tests.replay.plain_replay import (
    STATE_SIZE,
    PlainReplay,
    RandomGames,
    make_spec,
    sampleable,
    to_device,
)

ROWS, ENVS = 32, 3


def new_replay(reader, rollout_length, frame_stack, device, state_size=STATE_SIZE):
    return Replay(
        make_spec(frame_stack),
        reader,
        capacity=ROWS * ENVS,
        num_envs=ENVS,
        rollout_length=rollout_length,
        state_size=state_size,
        device=device,
    )


@pytest.mark.parametrize("burn_in, length, n_step", [(0, 1, 1), (4, 8, 3), (2, 5, 1), (0, 4, 4)])
@pytest.mark.parametrize("rollout_length, frame_stack", [(4, 4), (8, 1), (1, 4), (8, 4)])
def test_equals_a_plain_list_of_steps(burn_in, length, n_step, rollout_length, frame_stack, device):
    games = RandomGames(ENVS, rollout_length, frame_stack, seed=length)
    reader = SequenceReader(burn_in, length, n_step)
    replay = new_replay(reader, rollout_length, frame_stack, device)
    num_steps, num_read = burn_in + length + n_step, 0
    for _ in range(4 * ROWS // rollout_length):
        replay.append(to_device(games.rollout(), device))
        places = sorted(PlainReplay(games, ROWS).sequences(num_steps))
        assert sampleable(replay, games.num_rows) == set(places)
        if not places:
            continue
        rows, columns = torch.tensor(places, device=device).unbind(1)
        read = reader.read(replay._ring, rows % ROWS, columns)
        steps = [games.columns[column].steps[row : row + num_steps] for row, column in places]
        for name, attribute in NAMES.items():
            wanted = [[getattr(step, attribute) for step in sequence] for sequence in steps]
            tensor = getattr(read, name)
            expected = torch.tensor(wanted, device=device).transpose(0, 1).to(tensor.dtype)
            assert torch.equal(tensor, expected), name
        states = [games.states[row // rollout_length][column] for row, column in places]
        assert torch.equal(read.state.cpu(), torch.stack(states))
        num_read += len(places)
    assert num_read > 50


NAMES = {
    "observations": "stack",
    "actions": "action",
    "rewards": "reward",
    "terminated": "terminated",
    "truncated": "truncated",
    "life_lost": "life_lost",
    "valid": "valid",
    "starts": "is_first",
}


def test_samples_without_states_where_none_are_kept(device):
    games = RandomGames(ENVS, 4, 4, seed=0)
    replay = new_replay(SequenceReader(2, 4), 4, 4, device, state_size=0)
    for _ in range(6):
        replay.append(to_device(games.rollout(), device))
    draw, sequences = replay.sample(10)
    assert sequences.state is None
    assert sequences.observations.shape == (7, 10, 4, 2)
    assert draw.weights.tolist() == pytest.approx([0.1] * 10)
