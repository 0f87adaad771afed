"""What a recurrent policy remembers: forgotten at episode starts, carried over rollouts, saved."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from accel.models import stack_frames
from accel.sampling.state import join_states, part_of_state
from tests.sampling.plays import RememberingPolicy


def play_cartpole(play: Any, num_rollouts: int = 4, **settings: Any) -> list[dict[str, Any]]:
    """Episodes of some 20 steps, in rollouts of 24."""
    maker = play("CartPole-v1", kind="gym", frame_stack=2)
    sampler = maker.sampler(RememberingPolicy, **settings)
    try:
        sampler.start()
        return maker.collect(sampler, num_rollouts)[0]
    finally:
        sampler.close()


def assert_equal(actual: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert torch.equal(ours[name], theirs[name]), name


def test_unrolling_from_the_recorded_state_repeats_what_acting_saw(play) -> None:
    """As learners do it: from the state of the first row on, forgetting where the age is zero."""
    policy = RememberingPolicy(2)
    state = torch.zeros(8, 2)
    rollouts = play_cartpole(play)
    assert sum(int((rollout["age"][1:-1] == 0).sum()) for rollout in rollouts) > 10
    assert any((rollout["age"][0] > 0).any() for rollout in rollouts[1:])
    for rollout in rollouts:
        assert torch.equal(rollout["state"], state)
        for t in range(25):
            env = torch.arange(8)
            observations = stack_frames(
                rollout["frames"], rollout["age"], torch.full_like(env, t), env
            )
            state = torch.where(rollout["age"][t, :, None] == 0, 0.0, state)
            assert torch.equal(rollout["values"][t], policy.values(observations, state))
            if t < 24:  # the bootstrap row's own step is the next rollout's first
                state = policy.remember(observations, state)
                assert torch.equal(state[:, 0], rollout["age"][t] + 1.0)


@pytest.mark.parametrize("settings", [{"num_groups": 4}, {"num_workers": 2, "num_groups": 2}])
def test_layouts_remember_alike(play, settings: dict[str, int]) -> None:
    assert_equal(play_cartpole(play, **settings), play_cartpole(play))


def test_slots_keep_their_own_states(play) -> None:
    assert_equal(play_cartpole(play, slots=2), play_cartpole(play))


def test_feed_forward_policies_record_no_state(play) -> None:
    sampler = play("CartPole-v1", kind="gym").sampler()
    sampler.start()
    assert sampler.collect(0)[0].state is None
    assert "state" not in sampler.state_dict()["last"]
    sampler.close()


def test_a_saved_state_goes_on_exactly_also_cut_over_samplers(play) -> None:
    maker = play("CartPole-v1", kind="gym", frame_stack=2)
    whole = maker.sampler(RememberingPolicy)
    whole.start()
    maker.collect(whole, 2)
    state = whole.state_dict()
    expected, _ = maker.collect(whole, 2)
    halves = [maker.sampler(RememberingPolicy, num_envs=4, first_index=first) for first in (0, 4)]
    for first, half in zip((0, 4), halves):
        half.load_state_dict(part_of_state(state, slice(first, first + 4)))
    joined = join_states([half.state_dict() for half in halves])
    assert_equal([joined["last"]], [state["last"]])
    results = [maker.collect(half, 2)[0] for half in halves]
    for left, right, both in zip(*results, expected):
        assert torch.equal(torch.cat((left["state"], right["state"])), both["state"])
        assert torch.equal(torch.cat((left["values"], right["values"]), 1), both["values"])
    for sampler in (whole, *halves):
        sampler.close()
