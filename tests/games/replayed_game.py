"""A little game. Its import makes replay segments tiny, in every process of a run of it."""

from __future__ import annotations

import gymnasium
from faulty_games import Game

from accel.runners import replay_journal

replay_journal.SEGMENT_BYTES = 1000  # some rollouts of four environments

gymnasium.register("Replayed-v0", entry_point=Game)
