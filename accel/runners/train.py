"""Training, top to bottom: build, then collect, learn, log and save until done."""

from __future__ import annotations

import io
import sys
import time
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch

from accel.config.derive import Derived, derive
from accel.config.machine import Machine
from accel.config.schema import Config
from accel.learning import NonFiniteLoss, check_weights, flushed_denormals, prepare_device
from accel.learning.sync import Alone
from accel.metrics.console import Console
from accel.runners import asynchronous, build, build_sampling
from accel.runners.announce import announce
from accel.runners.continued import as_begun
from accel.runners.evaluation import evaluate
from accel.runners.fork import open_fork
from accel.runners.full_disk import outliving_full_disk
from accel.runners.goal import Goal
from accel.runners.last_words import last_words, tell_loss
from accel.runners.records import Recorder
from accel.runners.stop import INTERRUPTED_TWICE, StopRequest
from accel.runs.checkpoint import load_checkpoint
from accel.runs.checkpoint_file import CheckpointError
from accel.runs.folder import RunFolder
from accel.sampling.state import join_states, part_of_state
from accel.sampling.stepping import probe_spec
from accel.types import Episode


def train(config: Config) -> None:
    """Run `config` to its end, or until asked to stop: exits with 0 if asked once, 130 if twice.

    With several learners this is one rank of them: the first one keeps the run folder and talks.
    Exits with 1 and a message when the loss is not finite or the last checkpoint cannot be written.

    Raises:
        UserError, RunFolderError: something the user can mend, before any work starts.
        WorkerError, RankError: the run failed; its folder says so and keeps its checkpoints.
    """
    machine = Machine.detect(config.device)
    is_first = machine.place.rank == 0
    console = Console() if is_first else Console(io.StringIO())
    derived = derive(config, machine)
    try:
        with ExitStack() as stack:
            # Outermost: a signal amid a failure must not keep the folder from recording it.
            stop = stack.enter_context(StopRequest(console.note))
            folder = None
            if is_first:
                folder = stack.enter_context(
                    RunFolder(
                        config.run_dir,
                        resume=config.resume,
                        overwrite=config.overwrite,
                        keep_checkpoints=config.keep_checkpoints,
                        warn=console.warn,
                    )
                )
                stop.tell_deaf = partial(folder.end_abruptly, "interrupted")
            stack.enter_context(flushed_denormals())
            team = stack.enter_context(build.team(config, derived))
            if folder is not None:
                team.on_loss(partial(tell_loss, folder))
            derived = as_begun(config, derived, folder, team)
            training = Training(config, derived, team, folder, console)
            stack.callback(training.close)
            training.run(stop)
        if stop.signal_name is not None:
            sys.exit(0)  # and not on to the next run of a sweep
    except (CheckpointError, NonFiniteLoss) as error:
        sys.exit(last_words(error, config.run_dir))  # the message to stderr, exit code 1
    except KeyboardInterrupt:
        console.note("stopped at once; the last checkpoint is kept")
        sys.exit(INTERRUPTED_TWICE)
    finally:
        console.close()


class Training:
    """One learner with its environments: what is built, and the loop over it.

    `team` are the learners of the job; every rank calls its methods at the same points. `folder` is
    the run's, None on all ranks but the first.
    """

    def __init__(
        self,
        config: Config,
        derived: Derived,
        team: Alone,
        folder: RunFolder | None,
        console: Console,
    ) -> None:
        self.config, self.derived, self.team = config, derived, team
        self.folder, self.console = folder, console
        self.recipe = build.env_recipe(config, derived)
        self.spec = probe_spec(self.recipe)
        self.device = torch.device(derived.device)
        torch.set_num_threads(derived.learner_threads)
        prepare_device(self.device)
        self.model = build.network(config, self.spec)
        precision, why = build.precision(config, self.model, self.device)
        self.learner = build.learner(config, derived, self.spec, self.model, precision, team)
        # The first rank knows whether this run is a fork's start or goes on.
        self.fork = team.gather(open_fork(config, self.learner) if folder else None)[0]
        if folder is not None:
            rows = [("precision", f"{precision} ({why})"), *build.replay_memory(self.learner)]
            announce(config, derived, self.fork, folder, console, rows)
        first = team.ranks.rank * derived.envs_per_learner
        self.columns = slice(first, first + derived.envs_per_learner)  # ours of the global batch
        self.sampler = build_sampling.sampler(
            config, derived, self.recipe, self.spec, self.model, self.learner.flat, precision, first
        )
        self.policy_charts = build.policy_charts(config)
        self.journal = build.journal(config, self.learner, team, console.warn)
        self.agent_steps = 0
        self.num_evaluations = 0
        self.games: list[Episode] = []  # ended since they were last shared
        self.records = Recorder(
            config, derived, self.spec, self.learner, self.model, folder, console
        )
        self.goal = Goal(config, team, self.records)

    def run(self, stop: StopRequest) -> None:
        """Collect, learn, log, save; the whole of training."""
        self._restore_or_start()
        self.team.start(self.agent_steps)
        saved_at = time.monotonic()
        while True:
            is_first = self.folder is not None
            save_is_due = time.monotonic() - saved_at > self.config.checkpoint_interval_s
            # Any rank may have been asked to stop; the first one's clock decides on records.
            wishes = [stop.signal_name is not None]
            wishes += [is_first and self.records.is_due(), is_first and save_is_due]
            wishes += [self._evaluation_is_due(), self.goal.is_reached(self.agent_steps)]
            wishes += [self.goal.needs(self.games)]
            stopping, log, save, judge, done, share = agreed = self.team.any(wishes)
            if any(agreed):  # all ranks have met
                self.agent_steps = asynchronous.unite(self.learner, self.team, self.agent_steps)
            if share:
                self._share_games()
            if log:
                self._log()
            if judge and not stopping:
                stopping = not self._evaluate(stop)
            if done or stopping:
                break
            if save:
                with outliving_full_disk(self.console.warn, "at the next interval"):
                    self._save()
                saved_at = time.monotonic()
            if self.goal.is_reached(self.agent_steps):  # by games that were shared just now
                break
            self._update()
        self._log()
        self._save()
        if self.folder is not None:
            self._end(self.folder, stop)

    def _end(self, folder: RunFolder, stop: StopRequest) -> None:
        self.records.tell_limit()
        wall_time_s = self.records.wall_time_s
        if self.goal.is_reached(self.agent_steps):
            reason = self.goal.describe(self.agent_steps)
            folder.end("finished", reason, self.agent_steps, wall_time_s)
            self.journal.clear()  # a finished run is never resumed
            self.console.note(reason)
            self.console.note(f"finished: {folder.path}")
        else:
            reason = stop.signal_name or "another rank was asked to stop"
            folder.end("interrupted", reason, self.agent_steps, wall_time_s)
            self.console.note("saved; the same command continues this run")

    def close(self) -> None:
        """Stop the workers and what is written meanwhile, and flush the records."""
        self.sampler.close()
        self.journal.close()
        self.records.close()

    def _update(self) -> None:
        """One rollout and what is learned from it."""
        torch.set_num_threads(self.derived.actor_threads)
        with self.records.sampling(self.sampler):
            rollout, episodes = self.sampler.collect(self.learner.num_updates, self.agent_steps)
        torch.set_num_threads(self.derived.learner_threads)
        with self.records.learning(self.team, rollout):
            losses = self.learner.update(rollout, self.agent_steps)
        self.games += episodes
        charts = self.learner.charts(self.agent_steps) | self.policy_charts(self.agent_steps)
        self.records.add(losses, charts, self.agent_steps)
        self.agent_steps = self.team.advance(self.agent_steps, rollout.actions.numel())
        with outliving_full_disk(self.console.warn, "after as many steps again"):
            self.journal.follow()

    def _log(self) -> None:
        self._share_games()
        self.records.log(self.agent_steps, asynchronous.push_metrics(self.learner, self.team))
        self.team.check_equal(self.learner.flat.master)

    def _share_games(self) -> None:
        """Tell every rank's records of the games that have ended on any."""
        for games in self.team.gather(self.games):
            self.records.add_games(games)
        self.games = []

    def _evaluation_is_due(self) -> bool:
        interval = self.config.eval_interval_agent_steps
        return interval > 0 and self.agent_steps >= (self.num_evaluations + 1) * interval

    def _evaluate(self, stop: StopRequest) -> bool:
        """Play whole games with the present policy; keep the weights if they are the best.

        Asked to stop, it leaves the games and returns false: the resumed run plays them again.
        """
        is_parallel = self.config.sampler.kind == "parallel"
        with self.records.evaluating():
            episodes = evaluate(
                build.evaluation_policy(self.config, self.model),
                self.recipe,
                self.spec,
                num_episodes=self.config.eval_episodes,
                seed=self.config.seed,
                round_index=self.num_evaluations,
                num_workers=self.derived.num_workers if is_parallel else 0,
                timeout_s=self.config.sampler.timeout_s,
                device=self.device,
                team=self.team,
                should_stop=lambda: stop.signal_name is not None,
            )
        if not episodes:
            return False
        self.num_evaluations += 1
        score = self.records.log_evaluation(episodes, self.agent_steps)
        is_best = self.folder is not None and self.folder.checkpoints.is_best(score)
        if any(self.team.gather(is_best)):  # the first rank knows
            state = self.state_dict()
            if self.folder is not None:
                with outliving_full_disk(self.console.warn, "at the next better score"):
                    self.folder.checkpoints.save_best(state, score, self.agent_steps)
        return True

    def state_dict(self) -> dict[str, Any]:
        """Everything but the replay that the rest of the run depends on.

        To be called by all; the samplers of all are in what the first rank gets. Raises
        NonFiniteLoss for useless weights.
        """
        self._share_games()
        learner = self.learner.state_dict()
        check_weights(learner["model"])
        samplers = self.team.gather_first(self.sampler.state_dict())
        in_step = not self.config.algo.asynchronous
        return {
            "learner": learner,
            "sampler": None if samplers is None else join_states(samplers, in_step),
            "records": self.records.state_dict(),
            "agent_steps": self.agent_steps,
            "num_evaluations": self.num_evaluations,
        }

    def _save(self) -> None:
        state = {**self.state_dict(), "replay": self.journal.save()}
        if self.folder is not None:
            self.folder.checkpoints.save(state, self.agent_steps)
            self.journal.note_checkpoint()
            self.folder.manifest.record_progress(self.agent_steps)

    def _restore_or_start(self) -> None:
        """Go on from the checkpoint that the first rank has found, if it has, with any layout."""
        path = self.team.gather(self.folder.checkpoint if self.folder else None)[0]
        if self.fork is not None:
            self._restore(self.fork.state)
            self._save()  # from here on the parent is not needed
        elif path is not None:
            self._restore(load_checkpoint(path))
        else:
            self.sampler.start()
            return
        self.console.note(f"continuing from {self.agent_steps:,} agent steps")

    def _restore(self, state: dict[str, Any]) -> None:
        """Go on from what `_save` saved; a fork leaves out what has to start anew."""
        self.learner.load_state_dict(state["learner"])
        if state["sampler"] is None:
            self.sampler.start()
        else:
            self.sampler.load_state_dict(part_of_state(state["sampler"], self.columns))
        if state["records"] is not None:
            self.records.load_state_dict(state["records"])
        self.agent_steps = state["agent_steps"]
        self.num_evaluations = state["num_evaluations"]
        self.journal.load(state.get("replay"))
