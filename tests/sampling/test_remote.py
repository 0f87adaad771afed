"""A sampler in a process of its own: the same data, ahead of whoever learns from it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import Pipe
from typing import Any

import numpy as np
import pytest
import torch

from accel.sampling.actor_messages import ActorPlan
from accel.sampling.remote import RemoteSampler, _bound_waits
from accel.sampling.state import join_states, part_of_state
from tests.sampling.apart import watched
from tests.sampling.plays import RememberingPolicy

SIZES = {"num_envs": 4, "rollout_length": 16, "seed": 5}
NUM_ROLLOUTS = 8


class ShiftedPolicy(RememberingPolicy):
    """One whose values say which weights it has."""

    weights = 0.0

    def values(self, observations: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        return super().values(observations, state) * 0 + self.weights


def build_policy(num_actions: int, kind: type) -> tuple[RememberingPolicy, Callable]:
    policy = kind(num_actions)

    def load(weights: np.ndarray) -> None:
        policy.weights = float(weights[0])

    return policy, load


@pytest.fixture
def cartpole(play):
    return play("CartPole-v1", kind="gym", frame_stack=2)


@pytest.fixture
def remote(cartpole) -> Callable[..., Any]:
    """`with remote(is_free=...) as sampler`: weights are version + 0.5."""

    @contextmanager
    def started(is_free: bool = False, kind: type = RememberingPolicy, **settings: Any) -> Iterator:
        written = iter(range(1000))
        settings = {**SIZES, "recipe": cartpole.recipe, "spec": cartpole.spec, **settings}
        settings = {"slots": 3 if is_free else 2, "timeout_s": 10.0, "first_index": 0, **settings}
        sampler = RemoteSampler(
            ActorPlan(partial(build_policy, cartpole.spec.num_actions, kind), settings),
            lambda weights: weights.fill(next(written) + 0.5),
            100,
            is_free=is_free,
            agent_steps_per_rollout=64,
            device=settings.get("device", "cpu"),
        )
        try:
            yield sampler
        finally:
            sampler.close()

    return started


@pytest.fixture
def expected(cartpole) -> tuple[list[dict[str, torch.Tensor]], list]:
    """What a sampler in this process collects."""
    sampler = cartpole.sampler(RememberingPolicy, **SIZES)
    sampler.start()
    return cartpole.collect(sampler, NUM_ROLLOUTS)


def assert_same_play(actual: list[dict[str, torch.Tensor]], expected: list) -> None:
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {"policy_version"}:
            assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.parametrize(("is_free", "num_workers"), [(False, 0), (False, 2), (True, 2)])
def test_it_collects_what_one_in_this_process_does(
    is_free: bool, num_workers: int, remote, cartpole, expected, leaves_nothing
) -> None:
    with remote(is_free, num_workers=num_workers) as sampler:
        sampler.start()
        rollouts, episodes = cartpole.collect(sampler, NUM_ROLLOUTS)
        assert sampler.environment_seconds() > 0
    assert_same_play(rollouts, expected[0])
    assert episodes == expected[1] and len(episodes) > 10


@pytest.mark.gpu
@pytest.mark.parametrize(("is_free", "num_workers"), [(False, 0), (True, 2)])
def test_on_a_gpu_rollouts_come_up_whole(
    is_free: bool, num_workers: int, remote, cartpole, expected
) -> None:
    """And those played ahead are in the state, which goes on in this process."""
    with remote(is_free, num_workers=num_workers, device="cuda") as sampler:
        sampler.start()
        first, _ = cartpole.collect(sampler, NUM_ROLLOUTS // 2)
        state = sampler.state_dict()
    local = cartpole.sampler(RememberingPolicy, **SIZES, device="cuda")
    local.load_state_dict(state)
    second, _ = cartpole.collect(local, NUM_ROLLOUTS // 2)
    rollouts = [*first, *second]
    assert all(tensor.is_cuda for rollout in rollouts for tensor in rollout.values())
    on_host = [{name: tensor.cpu() for name, tensor in r.items()} for r in rollouts]
    assert_same_play(on_host, expected[0])


def test_a_lag_of_one_is_exactly_one(remote) -> None:
    with remote(kind=ShiftedPolicy) as sampler:
        sampler.start()
        lags = []
        for version in range(NUM_ROLLOUTS):
            rollout, _ = sampler.collect(version, 64 * version)
            lags.append(sampler.policy_lag)
            acted = rollout.policy_version.tolist()
            assert acted == [max(0, version - 1)] * 16
            # The last row too: asked for when the next rollout has begun with other weights.
            assert (rollout.values == acted[0] + 0.5).all()
        assert lags == [0] + [1] * (NUM_ROLLOUTS - 1)


@pytest.mark.parametrize("is_free", [False, True])
def test_what_was_played_ahead_is_in_the_state(is_free: bool, remote, cartpole, expected) -> None:
    """Cut in two and joined again, it goes on in this process, and from there in another."""
    with remote(is_free) as sampler:
        sampler.start()
        first, games = cartpole.collect(sampler, 2)
        state = sampler.state_dict()
    assert len(state["ahead"]) == (2 if is_free else 1)
    parts = [part_of_state(state, columns) for columns in (slice(0, 2), slice(2, 4))]
    uneven = [parts[0], parts[1] | {"ahead": parts[1]["ahead"][1:]}]
    with pytest.raises(ValueError, match="zip"):
        join_states(uneven)
    fewer = join_states(uneven, in_step=False)
    assert len(fewer["ahead"]) == len(state["ahead"]) - 1
    state = join_states(parts)
    local = cartpole.sampler(RememberingPolicy, **SIZES)
    local.load_state_dict(state)
    second, more = cartpole.collect(local, 1)
    with remote(is_free, num_workers=2) as sampler:
        sampler.load_state_dict(local.state_dict())
        third, rest = cartpole.collect(sampler, NUM_ROLLOUTS - 3)
    assert_same_play([*first, *second, *third], expected[0])
    key = [(game.env_index, game.episodic_length, game.episodic_return) for game in expected[1]]
    got = [(g.env_index, g.episodic_length, g.episodic_return) for g in [*games, *more, *rest]]
    assert sorted(got) == sorted(key)


def test_the_next_rollout_is_ordered_first_and_its_slot_given_up_once_copied(
    remote, monkeypatch
) -> None:
    """The actor finds the order at the end of a rollout; nobody waits while one is brought up."""
    with remote() as sampler:
        sampler.start()
        sampler._device = torch.device("meta")
        events: list[Any] = []
        take, ask = sampler._take, sampler._ask
        with watched(sampler._block, monkeypatch) as watch:
            monkeypatch.setattr(sampler, "_take", lambda: events.append("take") or take())
            monkeypatch.setattr(
                sampler, "_ask", lambda *order: events.append(watch.waits) or ask(*order)
            )
            for version in range(3):
                sampler.collect(version)
    # Each order with the number of rollouts whose copies have been waited for.
    assert events == [0, 0, "take", 1, "take", 2, "take"]
    assert len(watch.copies) == 3 * 12 and not any(copied.waits for copied in watch.copies)


def test_a_message_that_stops_half_way_is_not_waited_for() -> None:
    ours, theirs = Pipe()
    _bound_waits(ours, 0.1)
    os.write(theirs.fileno(), struct.pack("!i", 1000) + b"the first few bytes")
    assert ours.poll()
    with pytest.raises(BlockingIOError):
        ours.recv()
    with pytest.raises(BlockingIOError):
        ours.send_bytes(bytes(10**7))  # of which nobody takes any


def test_rollouts_of_another_length_are_left_out(remote, cartpole) -> None:
    with remote() as sampler:
        sampler.start()
        cartpole.collect(sampler, 1)
        state = sampler.state_dict()
    with remote(rollout_length=8) as sampler:
        sampler.load_state_dict(state)
        rollout, _ = sampler.collect(7)
        assert rollout.actions.shape == (8, 4) and rollout.policy_version[0] == 7
