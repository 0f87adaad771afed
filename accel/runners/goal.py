"""Where a run ends: at `total_agent_steps`, or before, where its training games are good enough."""

from __future__ import annotations

from collections.abc import Sequence

from accel.config.schema import Config
from accel.learning.sync import Alone
from accel.runners.records import Recorder
from accel.types import Episode


class Goal:
    """The same on every rank, for it depends on the games that all have shared."""

    def __init__(self, config: Config, team: Alone, records: Recorder) -> None:
        self._total, self._score = config.total_agent_steps, config.stop_at_return
        self._in_step = team.update_ranks.size == team.ranks.size
        self._records = records

    def is_reached(self, agent_steps: int) -> bool:
        """Whether there is nothing left to do."""
        return agent_steps >= self._total or self._scores()

    def needs(self, games: Sequence[Episode]) -> bool:
        """Whether all have to be told of `games` now, and not at the next log point.

        With `stop_at_return` each update's games are looked at, so that a run ends at the same step
        whenever it logs. Asynchronous learners, which would have to meet for it, do not.
        """
        return self._score is not None and self._in_step and len(games) > 0

    def describe(self, agent_steps: int) -> str:
        """How it was reached, in the words of the first rank."""
        if not self._scores():
            return "reached total_agent_steps"
        games, seconds = self._records.games, self._records.wall_time_s
        return (
            f"reached stop_at_return={self._score:.10g} (mean {games.mean_return:,.2f} of the last "
            f"{games.num_games} games) at {agent_steps:,} agent steps, {seconds / 60:,.1f} minutes "
            "of training"
        )

    def _scores(self) -> bool:
        games = self._records.games
        return self._score is not None and games.is_full and games.mean_return >= self._score
