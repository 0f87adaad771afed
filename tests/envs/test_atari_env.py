"""AtariEnv's options, one by one, against a bare emulator that is told what they stand for."""

import numpy as np
import pytest
from ale_py import Action, ALEInterface, LoggerMode, roms

from accel.envs.atari import RESET_VARIES, AtariEnv
from accel.envs.games import TwoPlayerGame, UnknownGame

cv2 = pytest.importorskip("cv2")  # the reference of the tests alone


class Emulator:
    """ALE itself, without any skip; `play` returns what an agent step of `frames` frames gives."""

    def __init__(self, rom: str, mode: int | None = None, difficulty: int | None = None) -> None:
        ALEInterface.setLoggerMode(LoggerMode.Error)
        self.ale = ALEInterface()
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.loadROM(roms.get_rom_path(rom))
        if mode is not None:
            self.ale.setMode(mode)
        if difficulty is not None:
            self.ale.setDifficulty(difficulty)
        self.ale.reset_game()

    def play(self, action: Action, frames: int = 4) -> tuple[float, np.ndarray]:
        """The reward, and the gray maximum of the last two screens."""
        reward, screens = 0, []
        for _ in range(frames):
            reward += self.ale.act(action)
            screens.append(self.ale.getScreenGrayscale())
        return reward, np.max(screens[-2:], axis=0)

    def screen(self) -> np.ndarray:
        return self.ale.getScreenGrayscale()

    def ram(self) -> bytes:
        return self.ale.getRAM().tobytes()


def make(game: str, *, seed: int = 0, **options: object) -> AtariEnv:
    """Without sticky actions, so that an emulator without them can follow."""
    return AtariEnv(game, seed=seed, **({"repeat_action_probability": 0.0} | options))


def first_frame(env: AtariEnv) -> np.ndarray:
    frame = np.zeros(env.spec.frame_shape, np.uint8)
    env.reset(frame)
    return frame


def ram(env: AtariEnv) -> bytes:
    return env._ale.getRAM().tobytes()


def area_84(screen: np.ndarray) -> np.ndarray:
    return cv2.resize(screen, (84, 84), interpolation=cv2.INTER_AREA)


def assert_plays_as(env: AtariEnv, emulator: Emulator, steps: int, resize=area_84) -> None:
    """Random actions in both, games that do not end."""
    frame = np.zeros(env.spec.frame_shape, np.uint8)
    for index in np.random.default_rng(7).integers(env.spec.num_actions, size=steps).tolist():
        env.step(index, frame)
        action = Action[env.spec.action_meanings[index]]
        reward, screen = emulator.play(action, env.spec.frame_skip)
        np.testing.assert_array_equal(frame, resize(screen))
        assert env.reward == reward and ram(env) == emulator.ram()
        assert not (env.terminated or env.truncated)


def test_no_ops_are_one_to_max_and_differ() -> None:
    env, emulator = make("breakout", max_noops=3), Emulator("breakout")
    after = []
    for _ in range(3):
        _, screen = emulator.play(Action.NOOP, 1)
        after.append((emulator.ram(), area_84(screen).tobytes()))
    counts = []
    for _ in range(60):
        frame = first_frame(env)
        counts.append(after.index((ram(env), frame.tobytes())) + 1)
    assert all(counts.count(n) > 8 for n in (1, 2, 3))
    other = make("breakout", max_noops=3, seed=1)
    first_frame(other)
    counts_of_other = [after.index((ram(other), first_frame(other).tobytes())) for _ in range(60)]
    assert counts_of_other != [count - 1 for count in counts]


def test_no_ops_and_fire_count_as_frames_of_the_game() -> None:
    """41 of them are eleven steps; ten after a no-op or a step of FIRE."""
    for options, steps in (({}, 11), ({"max_noops": 1}, 10), ({"fire_on_reset": True}, 10)):
        env = make("breakout", max_frames_per_episode=41, **options)
        for _ in range(2):
            frame = first_frame(env)
            for t in range(steps):
                assert not env.truncated, (options, t)
                env.step(0, frame)
            assert env.truncated and not env.terminated, options


def test_no_frame_limit() -> None:
    env = make("breakout", max_frames_per_episode=0, frame_skip=30)
    frame = first_frame(env)
    for _ in range(20):
        env.step(0, frame)  # the ball is never served
        assert not (env.terminated or env.truncated)


def test_fire_on_reset_is_one_agent_step_after_the_no_ops() -> None:
    env, emulator = make("breakout", max_noops=1, fire_on_reset=True), Emulator("breakout")
    frame = first_frame(env)
    emulator.play(Action.NOOP, 1)
    emulator.play(Action.FIRE, 4)
    np.testing.assert_array_equal(frame, area_84(emulator.screen()))
    assert ram(env) == emulator.ram() and env.reward == 0
    assert_plays_as(env, emulator, 5)


def test_no_fire_where_the_game_has_none() -> None:
    env, emulator = make("ms_pacman", fire_on_reset=True), Emulator("ms_pacman")
    assert "FIRE" not in env.spec.action_meanings
    np.testing.assert_array_equal(first_frame(env), area_84(emulator.screen()))
    assert ram(env) == emulator.ram()


def test_the_action_sets() -> None:
    ale = Emulator("pong").ale
    for full, actions in ((False, ale.getMinimalActionSet()), (True, ale.getLegalActionSet())):
        spec = make("pong", full_action_space=full).spec
        assert spec.action_meanings == tuple(action.name for action in actions)
        assert spec.num_actions == len(actions) == (18 if full else 6)


@pytest.mark.parametrize("full", [False, True])
def test_an_action_is_what_its_name_says(full: bool) -> None:
    env = make("ms_pacman", full_action_space=full)
    first_frame(env)
    assert_plays_as(env, Emulator("ms_pacman"), 60)


@pytest.mark.parametrize("skip", [1, 2, 3])
def test_frame_skip(skip: int) -> None:
    """The maximum is over a step's own screens: with no skip there is none."""
    env = make("pong", frame_skip=skip)
    first_frame(env)
    assert_plays_as(env, Emulator("pong"), 40)
    assert env.spec.frame_skip == skip


def area_104x80(screen: np.ndarray) -> np.ndarray:
    """Of taller screens, which keep all their rows."""
    return cv2.resize(screen, (80, 104), interpolation=cv2.INTER_AREA)


def halves(screen: np.ndarray) -> np.ndarray:
    """Two rows dropped, then the mean of every 2x2 pixels, halves rounded up."""
    rows = screen[:208].astype(int)
    return (rows[::2, ::2] + rows[1::2, ::2] + rows[::2, 1::2] + rows[1::2, 1::2] + 2) // 4


@pytest.mark.parametrize("game", ["pong", "breakout", "pacman"])
def test_104x80(game: str) -> None:
    env, emulator = make(game, screen="104x80"), Emulator(game)
    resize = halves if emulator.screen().shape[0] == 210 else area_104x80
    assert env.spec.frame_shape == (104, 80)
    np.testing.assert_array_equal(first_frame(env), resize(emulator.screen()))
    assert_plays_as(env, emulator, 40, resize)


@pytest.mark.parametrize("mode, difficulty", [(16, 1), (8, None), (None, 1)])
def test_mode_and_difficulty(mode: int | None, difficulty: int | None) -> None:
    """They hold in the first game and in the next."""
    env = make("breakout", mode=mode, difficulty=difficulty)
    emulator = Emulator("breakout", mode, difficulty)
    for _ in range(2):
        np.testing.assert_array_equal(first_frame(env), area_84(emulator.screen()))
        assert_plays_as(env, emulator, 40)
        emulator.ale.reset_game()
    assert emulator.ram() != Emulator("breakout").ram()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"mode": 3}, r"breakout has no mode 3; it has \[0, 4, 8"),
        ({"difficulty": 2}, r"breakout has no difficulty 2; it has \[0, 1\]"),
        ({"mode": -1, "difficulty": 0}, "breakout has no mode -1"),
    ],
)
def test_switches_that_a_game_lacks_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("breakout", **options)


def test_games_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UnknownGame, match="did you mean breakout"):
        make("brekout")
    with pytest.raises(TwoPlayerGame):  # ALE would end the process
        make("warlords")


@pytest.mark.parametrize(
    "game", ["asteroids", "atlantis", "carnival", "gopher", "pacman", "zaxxon"]
)
def test_a_cached_reset_equals_the_emulators_own(game: str) -> None:
    """Whatever was played before it, here other actions in the two."""
    assert game not in RESET_VARIES
    env, emulator = make(game), Emulator(game)
    frame = first_frame(env)
    for index in np.random.default_rng(1).integers(env.spec.num_actions, size=60).tolist():
        env.step(index, frame)
    emulator.play(Action.FIRE, 30)
    emulator.ale.reset_game()
    np.testing.assert_array_equal(first_frame(env), area_84(emulator.screen()))
    assert ram(env) == emulator.ram()
    assert env._ale.getEpisodeFrameNumber() == emulator.ale.getEpisodeFrameNumber()
    assert_plays_as(env, emulator, 15)
