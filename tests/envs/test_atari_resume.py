"""A saved game goes on in another emulator as it would have, and saving does not disturb it."""

from __future__ import annotations

import numpy as np
import pytest

from accel.envs.atari import RESET_VARIES, AtariEnv

FRAMES_PER_GAME = 120  # so that resets come along


class Player:
    """Plays random actions from a seed of their own, resetting where a game ends."""

    def __init__(self, env: AtariEnv, frame: np.ndarray, steps_played: int = 0) -> None:
        self.env, self.frame, self.steps_played = env, frame.copy(), steps_played

    def play(self, steps: int) -> list[tuple[bytes, float, bool]]:
        seen = []
        for _ in range(steps):
            if self.env.terminated or self.env.truncated:
                self.env.reset(self.frame)
            rng = np.random.default_rng(self.steps_played)
            self.env.step(int(rng.integers(self.env.spec.num_actions)), self.frame)
            self.steps_played += 1
            seen.append((self.frame.tobytes(), self.env.reward, self.env.truncated))
        return seen


def make(game: str, sticky: float, seed: int = 1) -> AtariEnv:
    return AtariEnv(
        game,
        seed=seed,
        repeat_action_probability=sticky,
        max_noops=5,
        max_frames_per_episode=FRAMES_PER_GAME,
    )


@pytest.mark.parametrize("sticky", [0.0, 0.25, 0.7])
@pytest.mark.parametrize("game", ["breakout", "seaquest"])
def test_a_saved_game_goes_on_unchanged(game: str, sticky: float) -> None:
    assert ("seaquest" in RESET_VARIES) and ("breakout" not in RESET_VARIES)
    undisturbed, saved = make(game, sticky), make(game, sticky)
    frame = np.zeros(saved.spec.frame_shape, np.uint8)
    for env in (undisturbed, saved):
        env.reset(frame)
    expected = Player(undisturbed, frame).play(12 * 25)
    player, got = Player(saved, frame), []
    for part in range(12):
        if part % 2:
            resumed = make(game, sticky, seed=99)  # another process, which has played before
            resumed.reset(frame)
            Player(resumed, frame).play(part)
            over = player.env.terminated, player.env.truncated
            resumed.load_state_dict(player.env.state_dict())
            resumed.terminated, resumed.truncated = over
            player = Player(resumed, frame, player.steps_played)
        else:
            player.env.state_dict()
        got += player.play(25)
    assert got == expected
