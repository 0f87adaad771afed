"""What the person who started a sweep sees: a live table on a terminal, lines in a log file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.table import Table

from accel.launching.job import Job, State
from accel.metrics.console import Console, format_count, format_duration

LAST_LINES = 15  # of a failed job's output
_LINE_INTERVAL_S = 60.0  # between summaries where there is no terminal
_AROUND_TABLE = 6  # lines of title, head, frame and caption
_STYLES = {State.FAILED: "red", State.RUNNING: "green", State.STOPPED: "yellow"}
_COLUMNS = ("job", "run", "slot", "state", "agent steps", "return", "ETA")


class SweepView:
    """Shows all jobs of a sweep; `update` as often as wanted."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self._jobs, self._console = jobs, console
        self._next_line = time.monotonic() + _LINE_INTERVAL_S

    def start(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Print which slot has which part of the machine, and what need not be run again."""
        self._console.start(title, rows)
        for job in self._jobs:
            if job.state is State.SKIPPED:
                self._console.note(_describe_skipped(job))

    def started(self, job: Job) -> None:
        """Say that a job has begun."""
        assert job.slot is not None
        if not self._console.is_terminal:
            self._console.note(f"started {_name(job)} in slot {job.slot.index}: {job.log}")

    def could_not_start(self, job: Job, error: OSError) -> None:
        """Say why a job has not begun."""
        self._console.warn(f"failed: {_name(job)} could not start: {error}")

    def ended(self, job: Job) -> None:
        """Say how a job ended; of a failed one, what it printed last."""
        if job.state is State.FAILED:
            self._console.warn(
                f"failed: {_name(job)} ({job.describe_end()}); the end of {job.log}:\n"
                + "\n".join(f"    {line}" for line in job.last_lines(LAST_LINES))
            )
        elif not self._console.is_terminal:
            self._console.note(f"{job.state.value} {_name(job)}: {_line(job)}")

    def note(self, text: str) -> None:
        self._console.note(text)

    def update(self) -> None:
        """Show where the jobs stand."""
        if self._console.is_terminal:
            self._console.show(self._table(self._console.height - _AROUND_TABLE))
        elif time.monotonic() >= self._next_line:
            self._next_line += _LINE_INTERVAL_S
            running = [job for job in self._jobs if job.state.is_running]
            texts = [f"  {_name(job)}: {_line(job)}" for job in running]
            self._console.note("\n".join([count_states(self._jobs), *texts]))

    def close(self) -> None:
        """Leave the table standing, with the counts as the last line of all."""
        if self._console.is_terminal:
            self._console.show(self._table(len(self._jobs)))
        self._console.close()
        is_left = any(job.state in (State.WAITING, State.STOPPED) for job in self._jobs)
        hint = "; the same command goes on with the rest" if is_left else ""
        self._console.note(count_states(self._jobs) + hint)

    def _table(self, height: int) -> Table:
        """All jobs if they fit in `height` lines, else those that run or failed before others."""
        title = f"accel: {count_states(self._jobs)}"
        table = Table(title=title, title_justify="left", box=box.SIMPLE)
        for name in _COLUMNS:
            numeric = name in ("job", "slot", "agent steps", "return", "ETA")
            table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
        urgent = [job for job in self._jobs if job.state.is_running or job.state is State.FAILED]
        others = [job for job in self._jobs if job not in urgent]
        shown = {job.index for job in [*urgent, *others][: max(1, height)]}
        for job in self._jobs:
            if job.index in shown:
                slot = str(job.slot.index) if job.slot is not None else ""
                cells = (str(job.index), job.label, slot, job.state.value, *_figures(job))
                table.add_row(*cells, style=_STYLES.get(job.state))
        if len(shown) < len(self._jobs):
            table.caption = f"and {len(self._jobs) - len(shown)} more jobs"
        return table


def count_states(jobs: Sequence[Job]) -> str:
    """`2 running, 1 waiting, 3 finished`: the states that there are, in their order."""
    counts = Counter(job.state for job in jobs)
    return ", ".join(f"{counts[state]} {state.value}" for state in State if counts[state])


def _describe_skipped(job: Job) -> str:
    text = f"skipped {_name(job)}: {job.folder} is finished"
    done, asked = job.progress.agent_steps, job.total_agent_steps
    if done >= asked:
        return text
    why = f" ({job.exit_reason})" if job.exit_reason else ""
    return f"{text} at {done:,} agent steps{why}, not {asked:,}: overwrite=true starts it afresh"


def _name(job: Job) -> str:
    return f"job {job.index} ({job.label})" if job.label else f"job {job.index}"


def _figures(job: Job) -> tuple[str, str, str]:
    """Agent steps of how many, return, time left."""
    progress = job.progress
    score = "" if progress.episodic_return is None else f"{progress.episodic_return:,.1f}"
    is_running = job.state is State.RUNNING
    eta = format_duration(progress.eta_s(job.total_agent_steps)) if is_running else ""
    steps = f"{format_count(job.progress.agent_steps)} / {format_count(job.total_agent_steps)}"
    return steps, score, eta


def _line(job: Job) -> str:
    steps, score, eta = _figures(job)
    named = (f"agent steps {steps}", score and f"return {score}", eta and f"ETA {eta}")
    return " | ".join(part for part in named if part)
