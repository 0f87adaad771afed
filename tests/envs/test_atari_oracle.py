"""AtariEnv equals Gymnasium's AtariPreprocessing: screens, rewards, ends, lives, exactly."""

from collections.abc import Iterator
from dataclasses import dataclass

import gymnasium
import numpy as np
import pytest
from ale_py.registration import rom_id_to_name
from gymnasium.wrappers import AtariPreprocessing

from accel.envs.atari import AtariEnv

cv2 = pytest.importorskip("cv2")  # the reference of the tests alone

# 210 rows but for carnival (214), pacman and klax (PAL, 250); the second half varies at resets.
GAMES = "breakout ms_pacman space_invaders carnival pacman klax pong seaquest beam_rider qbert"
SKIP = 4


class ScreenLog(gymnasium.Wrapper):
    """Keeps the gray screens since the last `clear`, one an emulated frame."""

    def clear(self) -> None:
        self.screens: list[np.ndarray] = []

    def step(self, action):
        result = self.env.step(action)
        self.screens.append(self.unwrapped.ale.getScreenGrayscale())
        return result


@dataclass
class Outcome:
    """What one step gave."""

    frame: np.ndarray
    reward: float
    terminated: bool
    truncated: bool
    lives: int

    @property
    def ended(self) -> bool:
        return self.terminated or self.truncated


class Oracle:
    """Gymnasium's own stack of wrappers, with the frames of a game's last step put right.

    Where a game ends, `AtariPreprocessing` has not read the last screen yet and returns a maximum
    with screens of the step before. The right frame is computed here from the screens in the log:
    of the last screen if the game ended within the skip, else of the last two as always.
    """

    def __init__(self, game: str, size: tuple[int, int] = (84, 84), **options) -> None:
        name = f"ALE/{rom_id_to_name(game)}-v5"
        self.log = ScreenLog(gymnasium.make(name, frameskip=1, **options))
        self.env = AtariPreprocessing(self.log, noop_max=0, frame_skip=SKIP, screen_size=size)
        self.ale = self.env.unwrapped.ale
        self.size = size

    def reset(self, seed: int | None = None) -> np.ndarray:
        self.log.clear()
        return self.env.reset(seed=seed)[0]

    def step(self, action: int) -> Outcome:
        self.log.clear()
        frame, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            screens = self.log.screens
            last_two = screens[-2:] if len(screens) == SKIP else screens[-1:]
            frame = area_resize(np.max(last_two, axis=0), self.size)
        return Outcome(frame, reward, terminated, truncated, info["lives"])


def area_resize(screen: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(screen, size, interpolation=cv2.INTER_AREA)


def twins(game: str, seed: int = 1, **options) -> tuple[AtariEnv, Oracle, np.ndarray]:
    """Our env and the oracle after their first reset, and the frame that both begin with."""
    limit = options.pop("max_frames_per_episode", 108_000)
    oracle = Oracle(game, max_num_frames_per_episode=limit, **options)
    first = oracle.reset(seed)
    ale_seed = oracle.ale.getInt("random_seed")
    env = AtariEnv(game, seed=ale_seed, max_frames_per_episode=limit, **options)
    frame = np.empty((84, 84), np.uint8)
    env.reset(frame)
    np.testing.assert_array_equal(frame, first)
    return env, oracle, first


def random_steps(env: AtariEnv, steps: int, seed: int = 0) -> Iterator[int]:
    yield from np.random.default_rng(seed).integers(env.spec.num_actions, size=steps).tolist()


def assert_same_play(env: AtariEnv, oracle: Oracle, steps: int) -> list[Outcome]:
    """Step both with random actions; return the outcomes of the steps that ended a game."""
    frame, lives, ends = np.empty((84, 84), np.uint8), oracle.ale.lives(), []
    for action in random_steps(env, steps):
        expected = oracle.step(action)
        env.step(action, frame)
        np.testing.assert_array_equal(frame, expected.frame)
        assert env.reward == expected.reward
        assert (env.terminated, env.truncated) == (expected.terminated, expected.truncated)
        assert env.life_lost == (expected.lives < lives)
        lives = expected.lives
        if expected.ended:
            ends.append(expected)
            first = oracle.reset()
            env.reset(frame)
            np.testing.assert_array_equal(frame, first)
            assert (env.reward, env.terminated, env.truncated) == (0, False, False)
            lives = oracle.ale.lives()
    return ends


@pytest.mark.parametrize("sticky", [0.0, 0.25])
@pytest.mark.parametrize("game", GAMES.split())
def test_play_equals_gymnasium(game: str, sticky: float) -> None:
    env, oracle, _ = twins(game, repeat_action_probability=sticky)
    assert_same_play(env, oracle, 600)


@pytest.mark.parametrize("limit", [401, 402, 403, 404])
@pytest.mark.parametrize("game", ["pong", "seaquest"])
def test_frame_limit_truncates_as_in_gymnasium(game: str, limit: int) -> None:
    env, oracle, _ = twins(game, repeat_action_probability=0.25, max_frames_per_episode=limit)
    ends = assert_same_play(env, oracle, 330)
    assert len(ends) == 3 and all(end.truncated and not end.terminated for end in ends)
