"""Rollouts with frames made on the actor's device equal those with frames of the workers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accel.envs.batch import EnvRecipe
from accel.sampling.frame_maker import FrameMaker
from accel.sampling.layout import rollout_fields, split
from accel.sampling.sampler import Sampler
from accel.sampling.stepping import SerialStepper, probe_spec
from accel.shared import SharedBlock
from tests.sampling.plays import Play, ScriptedPolicy, assert_equal, check_goes_on_exactly

# 210 rows but for carnival (214), pacman and klax (PAL, 250); the second half varies at resets.
GAMES = "breakout ms_pacman space_invaders carnival pacman klax pong seaquest beam_rider qbert"
CUT_SHORT = {"max_frames_per_episode": 161}  # games end at the first frame of a skip


def run(play: Callable, game: str, options: dict, num_rollouts: int = 3, **settings: object):
    maker = play(game, **options)
    sampler = maker.sampler(**settings)
    try:
        sampler.start()
        return maker.collect(sampler, num_rollouts)
    finally:
        sampler.close()


@pytest.mark.parametrize("screen", ["84x84", "104x80"])
@pytest.mark.parametrize("game", GAMES.split())
def test_ten_games(play, game: str, screen: str) -> None:
    """Through resets with no-ops and FIRE, sticky actions, and ends within the skip."""
    options = {**CUT_SHORT, "screen": screen, "max_noops": 5, "fire_on_reset": True}
    sizes = {"num_envs": 2, "rollout_length": 32}
    expected, games = run(play, game, options, **sizes)
    actual, same_games = run(play, game, options, frames_on_device=True, **sizes)
    assert_equal(actual, expected)
    assert same_games == games and len(games) >= 2
    assert actual[1]["frames"].float().std() > 1


@pytest.fixture(scope="module")
def reference():
    """Frames of the workers' kernel: serial, one group."""
    return run(Play, "breakout", CUT_SHORT)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_groups": 2},
        {"num_workers": 1, "num_groups": 2},
        {"num_workers": 2},
        {"num_workers": 2, "num_groups": 2, "slots": 2},
    ],
)
def test_every_layout(play, reference, settings: dict) -> None:
    rollouts, games = run(play, "breakout", CUT_SHORT, frames_on_device=True, **settings)
    assert_equal(rollouts, reference[0])
    assert games == reference[1] and len(games) >= 8


@pytest.mark.parametrize("game, frame_skip", [("breakout", 4), ("breakout", 1), ("pacman", 3)])
def test_games_that_end_by_themselves(play, game: str, frame_skip: int) -> None:
    options = {"frame_skip": frame_skip}
    sizes = {"num_envs": 1, "rollout_length": 1200 // frame_skip, "num_rollouts": 2}
    expected, games = run(play, game, options, **sizes)
    actual, same_games = run(play, game, options, frames_on_device=True, **sizes)
    assert_equal(actual, expected)
    assert same_games == games
    assert any(rollout["terminated"].any() for rollout in expected)


def test_decorrelated_starts(play) -> None:
    sizes = {"num_envs": 4, "rollout_length": 8, "decorrelation_steps": 40}
    expected, _ = run(play, "breakout", {}, **sizes)
    actual, _ = run(play, "breakout", {}, frames_on_device=True, num_workers=2, **sizes)
    assert_equal(actual, expected)


@pytest.mark.parametrize("before, after", [(False, True), (True, False), (True, True)])
def test_a_restored_sampler_goes_on_exactly(play, before: bool, after: bool) -> None:
    """Whoever made the frames before it was saved, and whoever makes them from then on."""
    maker = play(**CUT_SHORT, max_noops=5)
    original = maker.sampler(frames_on_device=before)
    restored = maker.sampler(frames_on_device=after, num_workers=2, num_groups=2)
    check_goes_on_exactly(maker, original, restored)


def test_recorded_as_graphs(play, graphs) -> None:
    """Frames made through the buffers of CUDA graphs, one recording for both groups."""
    recipe = EnvRecipe("atari", "breakout", {**CUT_SHORT, "raw_screens": True})
    spec, groups = probe_spec(recipe), split(8, 2)
    arrays = SharedBlock(rollout_fields(spec, 24, 8, slots=1, raw_screens=True)).arrays
    maker = play("breakout", **CUT_SHORT)
    plain = maker.sampler()
    sampler = Sampler(
        SerialStepper(recipe, arrays, groups, seed=5),
        arrays,
        groups,
        ScriptedPolicy(spec.num_actions),
        num_actions=spec.num_actions,
        seed=5,
        frame_maker=FrameMaker(spec.screen_shape[1], spec.frame_shape),
        graphs=graphs,
    )
    sampler.start()
    plain.start()
    actual, games = maker.collect(sampler, 3)
    expected, same_games = maker.collect(plain, 3)
    assert_equal(actual, expected)
    assert games == same_games
    assert graphs.num_recorded == 3  # with how the policy acts for each group
