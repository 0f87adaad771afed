"""The same seed gives the same data, however environments are dealt out and stepped."""

import os

import pytest
import torch

from accel import shared
from tests.sampling.plays import Play, assert_equal, check_goes_on_exactly, run


@pytest.fixture(scope="module")
def reference():
    """Serial, one group; games cut short at 160 frames so that many end."""
    rollouts, episodes = run(Play)
    assert len(episodes) >= 8
    return rollouts, episodes


@pytest.mark.parametrize(
    "num_workers, num_groups", [(0, 2), (0, 4), (1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (5, 1)]
)
def test_serial_and_parallel_rollouts_are_identical(
    play, reference, num_workers: int, num_groups: int
) -> None:
    rollouts, episodes = run(play, num_workers=num_workers, num_groups=num_groups)
    assert_equal(rollouts, reference[0])
    assert episodes == reference[1]


def test_slots_do_not_change_the_data(play, reference) -> None:
    rollouts, episodes = run(play, slots=2)
    assert_equal(rollouts, reference[0])
    assert episodes == reference[1]


def test_an_environment_depends_on_its_global_index_alone(play, reference) -> None:
    """Two ranks of four environments play what one rank of eight plays."""
    first, _ = run(play, num_envs=4)
    second, episodes = run(play, num_envs=4, first_index=4)
    for left, right, whole in zip(first, second, reference[0], strict=True):
        for name in whole.keys() - {"policy_version"}:
            assert torch.equal(torch.cat([left[name], right[name]], dim=1), whole[name]), name
    assert episodes == [e for e in reference[1] if e.env_index >= 4]


def test_seeds_differ(play, reference) -> None:
    rollouts, _ = run(play, num_rollouts=1, seed=6)
    assert not torch.equal(rollouts[0]["actions"], reference[0][0]["actions"])
    assert not torch.equal(rollouts[0]["frames"], reference[0][0]["frames"])


def test_decorrelated_starts_are_the_same_in_every_layout(play) -> None:
    runs = [
        run(play, num_rollouts=2, options={}, decorrelation_steps=40, num_workers=w, num_groups=g)
        for w, g in ((0, 1), (2, 2))
    ]
    assert_equal(runs[0][0], runs[1][0])
    first = runs[0][0][0]["frames"][3]
    assert len({first[b].numpy().tobytes() for b in range(8)}) > 1  # games are not in step


def test_without_eventfd_and_memfd_all_is_the_same(play, reference, monkeypatch) -> None:
    """The pipes and the unlinked file that serve where Linux's own calls are missing."""
    monkeypatch.delattr(os, "eventfd")
    monkeypatch.delattr(os, "memfd_create")
    signal = shared.Signal()
    assert signal.fds[0] != signal.fds[1]
    signal.post()
    signal.post()
    assert (signal.take(), signal.take()) == (2, 0)
    signal.close()
    rollouts, episodes = run(play, num_workers=2, num_groups=2)
    assert_equal(rollouts, reference[0])
    assert episodes == reference[1]


@pytest.mark.parametrize("num_workers", [0, 3])
def test_a_restored_sampler_goes_on_exactly(play, num_workers: int) -> None:
    maker = play(max_frames_per_episode=160, repeat_action_probability=0.25, max_noops=5)
    original = maker.sampler(num_workers=num_workers, num_groups=2)
    restored = maker.sampler(num_workers=num_workers, num_groups=2)
    check_goes_on_exactly(maker, original, restored)


def test_a_gymnasium_environment_runs_through_the_same_samplers(play) -> None:
    results = []
    for num_workers, num_groups in ((0, 1), (2, 2)):
        maker = play("CartPole-v1", kind="gym")
        sampler = maker.sampler(num_workers=num_workers, num_groups=num_groups)
        sampler.start()
        results.append(maker.collect(sampler, 4))
        sampler.close()
    assert_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]
    assert len(results[0][1]) > 10
