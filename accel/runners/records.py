"""What a run records about itself: curves, the progress line, where the time went."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from accel.config.derive import Derived
from accel.config.schema import Config
from accel.learning import Learner, dead_units
from accel.learning.dead_units import DeadUnits
from accel.learning.replay_learner import ReplayLearner
from accel.learning.sync import Alone
from accel.metrics.console import Console, ProgressLine
from accel.metrics.csv_writer import CsvWriter
from accel.metrics.episodes import EpisodeWindow
from accel.metrics.limit_watch import LimitWatch
from accel.metrics.reduce import MetricSums
from accel.metrics.tensorboard import TensorBoardWriter
from accel.metrics.timers import Timers
from accel.metrics.writers import Writer, Writers
from accel.models import Network
from accel.runners.limits import setup_of
from accel.runners.profile import Profile
from accel.runners.scores import Scores
from accel.runs.folder import RunFolder
from accel.sampling.remote import RemoteSampler
from accel.sampling.sampler import Sampler
from accel.types import EnvSpec, Episode, Rollout


class Recorder:
    """Collects figures while the run goes on and writes them every `log_interval_s`."""

    def __init__(
        self,
        config: Config,
        derived: Derived,
        spec: EnvSpec,
        learner: Learner | ReplayLearner,
        model: Network,
        folder: RunFolder | None,
        console: Console,
    ) -> None:
        """Write to `folder`, or nowhere: the first rank of a job records for all."""
        self._config, self._frame_skip, self._console = config, spec.frame_skip, console
        self._csv: CsvWriter | None = None
        writers: list[Writer] = []
        if folder is not None:
            self._csv = CsvWriter(folder.csv_path, resume_step=folder.resume_step)
            writers = [_open_tensorboard(config, folder), self._csv]
        self._writers = Writers(writers, console.warn)
        self._sums = MetricSums()
        self._timers = Timers()
        self._limits = LimitWatch(setup_of(config, derived))
        self.games = EpisodeWindow(100)  # the last ones of all ranks
        self._dead_units = DeadUnits(model)
        self._is_writing = folder is not None
        self._profile = None
        if config.profile and folder is not None:
            self._profile = Profile(config, derived.num_slots - 1, folder.path, console)
            self._profile.watch(learner.optimizer)
        self._last_log = time.monotonic()
        self._logged_steps: int | None = None  # agent steps that the last log point was at
        self._has_news = False
        self._seconds_elsewhere = 0.0  # evaluation: not counted against training speed
        self._evaluated_s = 0.0  # which an actor process sat out, and has yet to tell

    @contextmanager
    def sampling(self, sampler: Sampler | RemoteSampler) -> Iterator[None]:
        """Time a `collect`: the actor's inference and waiting, and the environments' own work.

        With an actor process, which is busy while the learner is, also who waits for whom.
        """
        before = sampler.environment_seconds()
        yield
        self._timers.add("env", sampler.environment_seconds() - before)
        self._timers.add("inference", sampler.time.inference)
        self._timers.add("wait", sampler.time.wait)
        if isinstance(sampler, RemoteSampler):
            waited = max(0.0, sampler.time.room - self._evaluated_s)  # evaluations aside
            self._evaluated_s = max(0.0, self._evaluated_s - sampler.time.room)
            self._timers.add("actor_wait", waited)
            self._timers.add("learner_wait", sampler.time.learner)
        lag = float(sampler.policy_lag)
        self._sums.add_min({"stats/policy_lag_min": lag})
        self._sums.add_mean({"stats/policy_lag_mean": lag})
        self._sums.add_max({"stats/policy_lag_max": lag})
        if self._profile is not None:
            # A rollout of a checkpoint, played ahead of it, has none.
            self._profile.begin_update(sampler.time.spans or [])

    @contextmanager
    def learning(self, team: Alone, rollout: Rollout) -> Iterator[None]:
        """Time an update from `rollout`, and its communication where that is known.

        The rollout has to be valid until the next `log`.
        """
        if self._is_writing:
            self._dead_units.before_update(rollout)
        before = team.communication_s
        with self._timers.section("learn"):
            yield
        if before is not None:
            self._timers.add("communication", team.communication_s - before)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Keep an evaluation out of the training's speed."""
        start = time.monotonic()
        yield
        seconds = time.monotonic() - start
        self._seconds_elsewhere += seconds
        self._evaluated_s += seconds

    def add_games(self, episodes: Sequence[Episode]) -> None:
        """Note games that have ended."""
        self.games.extend(episodes)

    @property
    def wall_time_s(self) -> float | None:
        """Seconds of training so far as in metrics.csv; None on all ranks but the first."""
        return self._csv.wall_time_s if self._csv is not None else None

    def add(self, losses: dict[str, Tensor], charts: dict[str, float], agent_steps: int) -> None:
        """Note what one update did, if it did anything, and the learner's present figures.

        `agent_steps` are those before the update.
        """
        if self._profile is not None:
            self._profile.end_update(has_learned=bool(losses))
        if losses:
            values = torch.stack([loss.detach() for loss in losses.values()]).tolist()
            self._sums.add_mean({f"losses/{k}": v for k, v in zip(losses, values)})
        self._sums.add_last({f"charts/{name}": value for name, value in charts.items()})
        self._has_news = True
        if self._logged_steps is None:
            self._logged_steps = agent_steps

    def is_due(self) -> bool:
        """Whether it is time for the next `log`."""
        return time.monotonic() - self._last_log >= self._config.log_interval_s

    def log(self, agent_steps: int, figures: dict[str, float]) -> None:
        """Write a point of every curve, with `figures` by tag, and the progress line.

        What limits the run follows if it is new.
        """
        if not self._has_news:
            return
        now = time.monotonic()
        seconds = now - self._last_log - self._seconds_elsewhere
        speed = (agent_steps - self._logged_steps) / max(seconds, 1e-9)
        frames = agent_steps * self._frame_skip
        split = self._timers.pop()
        self._writers.write(
            {
                **self.games.metrics(),
                **self._sums.pop(),
                "charts/SPS": speed,
                "charts/frames": frames,
                **split.metrics(),
                **self._dead_units.metrics(agent_steps, self._logged_steps),
                **figures,
            },
            agent_steps,
        )
        self._console.update(
            ProgressLine(
                agent_steps=agent_steps,
                total_agent_steps=self._config.total_agent_steps,
                frames=frames,
                steps_per_second=speed,
                episodic_return=self.games.mean_return,
                num_games=self.games.num_games,
                time_percent=split.percent,
            )
        )
        verdict = self._limits.add(split, self._seconds_elsewhere)
        if verdict is not None:
            self._console.note(verdict.text)
        self._last_log, self._logged_steps, self._seconds_elsewhere = now, agent_steps, 0.0
        self._has_news = False

    def tell_limit(self) -> None:
        """Say what has limited the run as a whole."""
        verdict = self._limits.of_run()
        if verdict is not None:
            self._console.note(f"the run was {verdict.text}")
        if self._profile is not None and not self._profile.is_done:
            self._console.warn(
                "profile=true: the run ended before there was anything to profile: it takes "
                f"{self._profile.num_updates} updates"
            )

    def log_evaluation(self, episodes: Sequence[Episode], agent_steps: int) -> float:
        """Write an evaluation's scores and return their mean."""
        scores = Scores.of(episodes, self._config.env)
        metrics = {
            "eval/episodic_return": scores.mean,
            "eval/episodic_return_std": scores.std,
            "eval/episodic_return_median": scores.median,
            "eval/episodic_length": scores.mean_length,
        }
        if scores.human_normalized is not None:
            metrics["eval/human_normalized_score"] = scores.human_normalized
        self._writers.write(metrics, agent_steps)
        self._console.note(
            f"evaluation at {agent_steps:,} agent steps: mean {scores.mean:,.1f} over "
            f"{len(episodes)} games (from {scores.min:,.0f} to {scores.max:,.0f})"
        )
        return scores.mean

    def state_dict(self) -> dict[str, Any]:
        return {"games": self.games.state_dict(), "dead_units": self._dead_units.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.games.load_state_dict(state["games"])
        self._dead_units.load_state_dict(state.get("dead_units", dead_units.UNKNOWN))

    def close(self) -> None:
        self._writers.close()


def _open_tensorboard(config: Config, folder: RunFolder) -> TensorBoardWriter:
    tensorboard = TensorBoardWriter(folder.tb_dir, resume_step=folder.resume_step)
    tensorboard.write_config(dataclasses.asdict(config))
    return tensorboard
