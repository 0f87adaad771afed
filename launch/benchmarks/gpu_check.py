"""The first quarter of an hour on a GPU, in order of value; see launch/gpu_check.sh.

Each step is a process of its own under a limit of its own; a failure is one line and the next step
goes on. `summary.txt` has a line for every step at any time, `results.json` the figures behind
them, `log.txt` all that was printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks, as its commands see it
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from accel.runs.code_state import record_code_state
from accel.runs.manifest import utc_now
from benchmarks import mps
from benchmarks.contender import REPOSITORY
from benchmarks.cut_off import CutOff, cut_off_by_signals
from benchmarks.gpu_check_summary import Record, Summary
from benchmarks.step_process import GRACE_S, run_group

_PROGRAM = Path(__file__).with_name("gpu_check_steps.py")
_SHOWN_CODE = 12  # characters of a commit


@dataclass(frozen=True)
class Step:
    """One thing to find out."""

    name: str
    title: str
    takes_s: float  # as a rule; not begun with less time left
    limit_s: float
    why_not: Callable[[], str | None] = lambda: None  # what it lacks on this machine
    under_mps: bool = False


# 16 cores and a GPU; a training starts in some 20 s, warms up for 5 and is measured for 10.
STEPS = [
    Step("machine", "versions, clocks, hyperthreads", 10, 60),
    Step("recording", "one recorded graph", 15, 60),
    Step("tests", "all tests on a GPU", 60, 170),
    Step("score", "training until its score", 120, 260),
    Step("sampling", "sampling alone, random actions", 25, 90),
    Step("ppo_lag1", "PPO, lag 1", 37, 90),
    Step("ppo_lag0", "PPO, lag 0", 37, 90),
    Step("ppo_eager", "PPO, lag 1, no graphs", 37, 90),
    Step("ppo_workers", "PPO, lag 1, other workers", 37, 90),
    Step("ppo_mps", "PPO, lag 1, under MPS", 40, 100, mps.why_not, under_mps=True),
    Step("dqn", "DQN, batches of 512", 37, 90),
    Step("impala", "IMPALA", 37, 90),
    Step("a2c", "A2C", 37, 90),
]


def main() -> None:
    """Do what has not been done and show all that has."""
    options = _parse()
    options.output.mkdir(parents=True, exist_ok=True)
    steps = [step for step in STEPS if not options.only or step.name in options.only]
    with tempfile.TemporaryDirectory(prefix="accel-check-") as scratch:
        sys.exit(_Check(options, steps, Path(scratch)).run())


class _Check:
    def __init__(self, options: Namespace, steps: Sequence[Step], scratch: Path) -> None:
        self._deadline = time.monotonic() + options.budget - GRACE_S
        self._options, self._steps, self._scratch = options, steps, scratch
        self._code = _code_id()
        heading = f"gpu_check on {options.device}, {utc_now()}, code {self._code}"
        if options.device == "cpu":
            heading += " (a rehearsal: everything is small, its figures say nothing)"
        titles = {step.name: step.title for step in steps}
        self._summary = Summary(options.output, options.device, heading, titles)

    def run(self) -> int:
        """The exit code: 0, 1 if a step failed, or that of the signal."""
        summary = self._summary
        print(f"{summary.heading}; to {self._options.output}")
        print("\n".join(self._plan()), flush=True)
        try:
            with cut_off_by_signals():
                for step in self._steps:
                    if not summary.is_finished(step.name):
                        self._do(step)
                    print(summary.line(step.name), flush=True)
        except CutOff as cut:
            summary.close(f"{cut}")
            print(f"\n{summary.text()}", flush=True)
            return cut.exit_code
        summary.close("ended")
        print(f"\n{summary.text()}", flush=True)
        return int(any(summary.status(step.name) == "FAILED" for step in self._steps))

    def _plan(self) -> list[str]:
        """What is going to be done, as far as can be told."""
        left, lines = self._left_s(), []
        for step in self._steps:
            if self._summary.is_finished(step.name):
                lines.append(f"  {step.name:<12} is there")
            elif step.why_not():
                lines.append(f"  {step.name:<12} skipped: {step.why_not()}")
            elif step.takes_s > left:
                lines.append(f"  {step.name:<12} dropped: some {step.takes_s:.0f} s")
            else:
                left -= step.takes_s
                lines.append(
                    f"  {step.name:<12} some {step.takes_s:.0f} s, at most {step.limit_s:.0f}"
                )
        return lines

    def _do(self, step: Step) -> None:
        reason, left = step.why_not(), self._left_s()
        if reason:
            self._keep(step, "skipped", reason)
        elif step.takes_s > left:
            words = f"takes some {step.takes_s:.0f} s, {max(0.0, left):.0f} are left"
            self._keep(step, "dropped", words)
        else:
            self._keep(step, "running", "")
            start = time.monotonic()
            try:
                status, line, values = self._run(step, min(step.limit_s, left))
            except CutOff as cut:
                self._keep(step, "cut off", str(cut), time.monotonic() - start)
                raise
            self._keep(step, status, line, time.monotonic() - start, values)

    def _run(self, step: Step, limit_s: float) -> tuple[str, str, dict]:
        options, answer_path = self._options, self._scratch / f"{step.name}.json"
        words = (step.name, options.device, f"{limit_s:.1f}", options.output, answer_path)
        command = [sys.executable, str(_PROGRAM), *map(str, words)]
        log = options.output / "log.txt"
        with log.open("a") as file:
            file.write(f"\n===== {step.name}: {step.title}, {utc_now()}\n")
        with ExitStack() as stack:
            environment = {"TMPDIR": str(self._scratch)}
            if step.under_mps:
                try:
                    daemon = mps.mps_daemon(self._scratch / "mps")
                    environment |= stack.enter_context(daemon)
                except mps.MpsFailed as error:
                    return "FAILED", str(error), {}
            ending = run_group(command, limit_s, log, environment)
        values = json.loads(answer_path.read_text()) if answer_path.exists() else {}
        line = values.pop("line", "")
        if ending.code is None:
            is_own = limit_s == step.limit_s
            what = f"over its {limit_s:.0f} s" if is_own else f"out of time after {limit_s:.0f} s"
            return "FAILED" if is_own else "cut off", f"{what}; {ending.last_line}", values
        if ending.code:
            return "FAILED", line or ending.last_line, values
        return "done", line, values

    def _keep(
        self, step: Step, status: str, line: str, took_s: float = 0.0, values: dict | None = None
    ) -> None:
        code, date = self._code, utc_now()
        record = Record(status, line, round(took_s, 1), code, date, values or {})
        self._summary.keep(step.name, record)

    def _left_s(self) -> float:
        return self._deadline - time.monotonic()


def _code_id() -> str:
    code = record_code_state(REPOSITORY)
    if not code.get("head"):
        return "not known"
    source = f" ({code['from']})" if "from" in code else ""
    return f"{code['head'][:_SHOWN_CODE]}{' with changes' if code['dirty'] else ''}{source}"


def _parse() -> Namespace:
    parser = argparse.ArgumentParser(prog="launch/gpu_check.sh", description=__doc__)
    parser.add_argument(
        "--output", type=Path, help="folder of the results; finished steps found there are skipped"
    )
    parser.add_argument("--budget", type=float, default=540, help="seconds in all (%(default)s)")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu: a rehearsal (%(default)s)")
    names = [step.name for step in STEPS]
    parser.add_argument("--only", nargs="+", choices=names, default=[], help="these steps alone")
    options = parser.parse_args()
    if options.output is None:
        options.output = Path(tempfile.mkdtemp(prefix="gpu_check-"))
    options.output = options.output.resolve()
    return options


if __name__ == "__main__":
    main()
