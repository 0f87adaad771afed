"""What goes between host and device while rollouts are played: how much, when, and who waits."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from accel.sampling import device_rollout
from accel.sampling.sampler import Sampler, Start
from tests.sampling.apart import CopyWatch, watched
from tests.sampling.plays import Play, RememberingPolicy, ScriptedPolicy, assert_equal

LENGTH, ENVS, GROUPS, NUM_ROLLOUTS = 12, 4, 2, 3
SIZES = {"num_envs": ENVS, "rollout_length": LENGTH, "num_groups": GROUPS, "seed": 3}
BREAKOUT = Play("breakout", max_frames_per_episode=61)
POLE = Play("CartPole-v1", kind="gym", frame_stack=2)


def collect(sampler: Sampler, early: bool = False) -> list[dict[str, torch.Tensor]]:
    """Rollouts, each begun before the end of the one before it if `early`."""
    rollouts = []
    for version in range(NUM_ROLLOUTS):
        following = Start(version + 1, 0) if early and version + 1 < NUM_ROLLOUTS else None
        rollout, _ = sampler.collect(version, following=lambda start=following: start)
        rollouts.append({name: t.clone() for name, t in vars(rollout).items() if t is not None})
    return rollouts


def check(monkeypatch: Any, play: Play, policy: type, early: bool, **settings: Any) -> CopyWatch:
    """Collected with a device's memory apart, rollouts are the same, and no copy waits."""
    monkeypatch.setattr(device_rollout, "has_own_memory", lambda device: True)
    sampler = play.sampler(policy, **SIZES, **settings)
    with watched(sampler.block or sampler._stepper.block, monkeypatch) as watch:
        sampler.start()
        watch.copies.clear()
        rollouts = collect(sampler, early)
        waits = watch.waits
        sampler.close()
    watch.waits = waits
    monkeypatch.undo()
    plain = play.sampler(policy, **SIZES)
    plain.start()
    assert_equal(rollouts, collect(plain))
    assert sum(int((rollout["age"][1:] == 0).sum()) for rollout in rollouts) > 0
    assert watch.copies and not [copied for copied in watch.copies if copied.waits]
    return watch


def frames_down(watch: CopyWatch) -> Counter:
    """Shapes of the frames that came down, with their number."""
    return Counter(c.shape for c in watch.copies if c.is_down and c.dtype == torch.uint8)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("frames_on_device", [False, True])
def test_another_process_finds_all_and_it_was_waited_for_once(
    frames_on_device: bool, early: bool, monkeypatch
) -> None:
    twin = ScriptedPolicy(BREAKOUT.spec.num_actions) if early else None
    settings = {"slots": 2, "shared": True, "frames_on_device": frames_on_device, "twin": twin}
    watch = check(monkeypatch, BREAKOUT, ScriptedPolicy, early, **settings)
    # The K rows that the rollout before has left and, if they are made here, each row after them.
    rows = 4 + (LENGTH if frames_on_device else 0)
    assert frames_down(watch) == {(ENVS // GROUPS, 84, 84): NUM_ROLLOUTS * GROUPS * rows}
    assert watch.waits == NUM_ROLLOUTS * (LENGTH * GROUPS + 1)  # the actions, and the end


def test_what_a_policy_remembers_goes_down_too(monkeypatch) -> None:
    check(monkeypatch, POLE, RememberingPolicy, early=False, slots=2, shared=True)


def test_a_learner_in_this_process_has_all_on_the_device(monkeypatch) -> None:
    """No frame goes down again, and the end is not waited for."""
    settings = {"num_workers": 1, "frames_on_device": True}
    watch = check(monkeypatch, BREAKOUT, ScriptedPolicy, early=False, **settings)
    assert not frames_down(watch)
    assert watch.waits == NUM_ROLLOUTS * LENGTH * GROUPS
