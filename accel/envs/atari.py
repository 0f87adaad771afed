"""One Atari game on ALE, stepped into arrays the caller owns.

The semantics are those of Gymnasium's `AtariPreprocessing` (frame skip, maximum of the last two
grayscale screens, area resize), with four differences, all on purpose:

- the stack is built later, so a step writes one frame;
- a lost life is reported and never ends the game: life-loss episodes are a learner's view;
- a game that ends within the skip returns its true last screen; `AtariPreprocessing` leaves screens
  of the previous step in its maximum there;
- a reset restores a saved state where that is exact (see `RESET_VARIES`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from ale_py import ALEInterface, ALEState, LoggerMode, roms

from accel.envs.games import resolve_game
from accel.envs.palette import is_ntsc
from accel.envs.raw_screens import RawScreens
from accel.envs.screen import SCREEN_WIDTH, SCREENS
from accel.envs.sticky import NOOP, StickyActions
from accel.types import EnvSpec

if TYPE_CHECKING:
    from accel.envs.frame_kernel import Screen

FRAMES_PER_SECOND = 60.0  # of the console

# Games that do not always start alike: what was played before shows in the state that `reset_game`
# leaves (memory it does not clear, random numbers) or, in amidar, koolaid and trondead, in the
# first screens; found by comparing states, 24 to 300 resets a game. All others start from one
# state, and restoring it takes 0.1 ms where `reset_game` emulates some 70 frames in 3 to 4 ms.
# fmt: off
RESET_VARIES = frozenset({
    "amidar", "assault", "backgammon", "beam_rider", "berzerk", "boxing", "chopper_command",
    "crossbow", "darkchambers", "demon_attack", "double_dunk", "elevator_action", "fishing_derby",
    "freeway", "frostbite", "hangman", "haunted_house", "hero", "ice_hockey", "kaboom", "klax",
    "koolaid", "krull", "kung_fu_master", "miniature_golf", "pitfall2", "pooyan", "private_eye",
    "qbert", "seaquest", "sir_lancelot", "solaris", "space_war", "surround", "tennis", "tetris",
    "time_pilot", "trondead", "yars_revenge",
})
# fmt: on


class AtariEnv:
    """A game with frame skip, sticky actions and one frame out per step.

    After `step`, the attributes `reward` (the game's own score change), `terminated`, `truncated`
    (the frame limit) and `life_lost` tell what happened. A finished game goes on after `reset`.
    """

    spec: EnvSpec
    reward: float
    terminated: bool
    truncated: bool
    life_lost: bool

    def __init__(
        self,
        game: str,
        *,
        seed: int,
        screen: str = "84x84",
        frame_skip: int = 4,
        frame_stack: int = 4,
        repeat_action_probability: float = 0.25,
        max_noops: int = 0,
        fire_on_reset: bool = False,
        full_action_space: bool = False,
        max_frames_per_episode: int = 108_000,
        mode: int | None = None,
        difficulty: int | None = None,
        raw_screens: bool = False,
    ) -> None:
        """Load `game` (any spelling `resolve_game` takes).

        Args:
            seed: 31-bit seed of ALE's sticky actions and of the number of no-ops.
            max_noops: 1 to `max_noops` no-op frames after a reset; 0 for none.
            fire_on_reset: press FIRE for one agent step after a reset, where the game has it.
            max_frames_per_episode: emulated frames after which the game is truncated; 0 for never.
            mode, difficulty: the game's switches; None for its defaults.
            raw_screens: hand out the last two raw screens, of the spec's `screen_shape`, wherever
                a frame is asked for.

        Raises:
            ValueError: an unknown game, mode or difficulty.
        """
        rom = resolve_game(game)
        self._ale = ale = _load(rom, seed, max_frames_per_episode, mode, difficulty)
        self._sticky = StickyActions(repeat_action_probability, seed)
        self._act, self._game_over, self._lives_left = ale.act, ale.game_over, ale.lives
        actions = ale.getLegalActionSet() if full_action_space else ale.getMinimalActionSet()
        self._actions = [action.value for action in actions]
        meanings = tuple(action.name for action in actions)
        height = ale.getScreenDims()[0]
        ntsc = is_ntsc(height)
        self._screen = RawScreens() if raw_screens else _screen(height, screen, ntsc)
        self._read = ale.getScreen if ntsc else ale.getScreenGrayscale
        self._skip = frame_skip
        self._max_noops = max_noops
        self._fire = meanings.index("FIRE") if fire_on_reset and "FIRE" in meanings else None
        self._noop_rng = np.random.default_rng(seed)
        self._before_reset, self._start_frame = ale.cloneState(), -1
        self._start = None
        if rom not in RESET_VARIES and mode is None and difficulty is None:
            ale.reset_game()
            self._start = ale.cloneState()
            self._start_screen = np.empty((height, SCREEN_WIDTH), np.uint8)
            self._read(self._start_screen)  # a state leaves it out
        self._lives = ale.lives()
        self._clear()
        self.spec = EnvSpec(
            frame_shape=SCREENS[screen][:2],
            frame_dtype="uint8",
            frame_stack=frame_stack,
            num_actions=len(self._actions),
            frame_skip=frame_skip,
            action_meanings=meanings,
            screen_shape=(2, height, SCREEN_WIDTH),
        )

    def step(self, action: int, frame_out: np.ndarray) -> None:
        """Take `action` for `frame_skip` frames and write the newest frame into `frame_out`.

        Args:
            action: index into the action set, in [0, num_actions).
            frame_out: uint8 array of the spec's frame shape.
        """
        self._screen.begin(frame_out)
        is_over = self._emulate(action)
        self._screen.write_frame(frame_out)
        lives = self._lives_left()
        self.life_lost = lives < self._lives
        self._lives = lives
        if is_over:
            self.terminated = self._game_over(with_truncation=False)
            self.truncated = not self.terminated

    def reset(self, frame_out: np.ndarray) -> None:
        """Start a new game and write its first frame into `frame_out`."""
        self._screen.begin(frame_out)
        self._begin()
        if self._max_noops:
            for _ in range(self._noop_rng.integers(1, self._max_noops + 1)):
                plan = self._sticky.plan(NOOP, 1)
                self._act(plan[0])
                self._sticky.advance(plan, 1)
                if self._game_over():
                    self._begin()
        if self._fire is not None and self._emulate(self._fire):
            self._begin()
        self._lives = self._lives_left()
        self._clear()
        if self._start is not None and self._is_at_start():
            self._screen.later[:] = self._start_screen
        else:
            self._read(self._screen.later)
        self._screen.earlier[:] = self._screen.later
        self._screen.write_frame(frame_out)

    def watch(self, show: Callable[[np.ndarray], None]) -> float:
        """Call `show` with the color screen after every emulated frame from here on.

        A screen is [height, 160, 3] uint8. Returns the screens per second of real time.
        """

        act = self._act

        def act_and_show(action: int) -> float:
            reward = act(action)
            show(self.raw_screen())
            return reward

        self._act = act_and_show
        return FRAMES_PER_SECOND

    def raw_screen(self) -> np.ndarray:
        """The emulator's screen in color, [height, 160, 3] uint8, for pictures and videos."""
        return self._ale.getScreenRGB()

    def state_dict(self) -> dict[str, Any]:
        """The emulator (about 8 kB), the sticky actions (3 kB) and this object's own state."""
        # `reset_game` may leave off within a frame (qbert, tetris), and ALE's states know no half
        # frames. So a game's start is saved as what came before it, and reset again when loaded.
        is_at_start = self._start is None and self._is_at_start()
        state = self._before_reset if is_at_start else self._ale.cloneState()
        return {
            "ale": state.__getstate__(),
            "is_at_start": is_at_start,
            "sticky": self._sticky.state_dict(),
            "noop_rng": self._noop_rng.bit_generator.state,
            "lives": self._lives,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""
        self._ale.restoreState(ALEState(state["ale"]))
        if state["is_at_start"]:
            self._begin()
        self._sticky.load_state_dict(state["sticky"])
        self._noop_rng.bit_generator.state = state["noop_rng"]
        self._lives = state["lives"]
        self._clear()
        self._screen.forget()

    def close(self) -> None:
        """Nothing to free: the emulator goes with this object."""

    def _begin(self) -> None:
        """Go to a game's start, as `reset_game` does."""
        if self._start is None:
            self._before_reset = self._ale.cloneState()
            self._ale.reset_game()
        else:
            self._ale.restoreState(self._start)
        self._start_frame = self._ale.getEpisodeFrameNumber()
        self._sticky.forget()

    def _is_at_start(self) -> bool:
        return self._ale.getEpisodeFrameNumber() == self._start_frame

    def _emulate(self, action: int) -> bool:
        """`frame_skip` frames of one action, the last two screens into the screen's buffers.

        Returns whether the game is over; it ends early then.
        """
        act, game_over, screen, sticky = self._act, self._game_over, self._screen, self._sticky
        plan = sticky.plan(self._actions[action], self._skip)
        reward, num_frames, is_over = 0, 0, False
        for frame_action in plan:
            num_frames += 1
            if num_frames == self._skip:
                self._read(screen.earlier)
            reward += act(frame_action)
            is_over = game_over()
            if is_over:
                break
        sticky.advance(plan, num_frames)
        self._read(screen.later)
        if num_frames < self._skip or self._skip == 1:
            screen.earlier[:] = screen.later
        self.reward = float(reward)
        return is_over

    def _clear(self) -> None:
        self.reward = 0.0
        self.terminated = self.truncated = self.life_lost = False


def _screen(height: int, screen: str, ntsc: bool) -> Screen:
    from accel.envs.frame_kernel import Screen  # numba comes with use

    return Screen(height, screen, ntsc)


def _load(
    rom: str,
    seed: int,
    max_frames_per_episode: int,
    mode: int | None,
    difficulty: int | None,
) -> ALEInterface:
    ALEInterface.setLoggerMode(LoggerMode.Error)
    ale = ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setInt("frame_skip", 1)  # the skip is ours: it needs the screens in between
    ale.setFloat("repeat_action_probability", 0.0)  # sticky actions are ours as well
    ale.setInt("max_num_frames_per_episode", max_frames_per_episode)
    ale.loadROM(roms.get_rom_path(rom))
    for name, value, available, choose in (
        ("mode", mode, ale.getAvailableModes(), ale.setMode),
        ("difficulty", difficulty, ale.getAvailableDifficulties(), ale.setDifficulty),
    ):
        if value is None:
            continue
        if value not in available:
            raise ValueError(f"{rom} has no {name} {value}; it has {sorted(available)}")
        choose(value)
    return ale
