"""pytest from the repository's top, in parallel where it can: what passed, and what did not."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.contender import REPOSITORY

_TEST_TIMEOUT_S = 60
# "[gw0] [ 12%] PASSED tests/x.py::y" and "tests/x.py::y PASSED [ 12%]"
_DONE = re.compile(r"\b(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b")
_TEST = re.compile(r"\btests/\S+")


def run_pytest(words: Sequence[str], limit_s: float, num_processes: int = 1) -> dict[str, Any]:
    """Run it for `limit_s` at most: {"line", "counts", "not_passed", "failed"}.

    What had ended before the limit is counted.
    """
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "-rfE", "--tb=short"]
    if num_processes > 1 and importlib.util.find_spec("xdist"):
        command += ["-n", str(num_processes)]
        if importlib.util.find_spec("pytest_timeout"):  # a stuck test ends its process alone
            command += ["--timeout", str(_TEST_TIMEOUT_S), "--timeout-method", "thread"]
    process = subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, errors="replace"
    )
    timer = threading.Timer(limit_s, process.terminate)
    timer.start()
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    code = process.wait()
    timer.cancel()
    return _describe(code, lines, limit_s if code < 0 else None)


def _describe(code: int, lines: Sequence[str], limit_s: float | None) -> dict[str, Any]:
    counts, not_passed = _count(lines)
    words = [f"{count} {name.lower()}" for name, count in counts.items()] or ["no test ended"]
    line = ", ".join(words)
    if limit_s is not None:
        line += f" within {limit_s:.0f} s, the rest not at all"
    elif code and not not_passed:
        line += f", exit code {code}: {lines[-1].strip() if lines else 'it said nothing'}"
    if not_passed:
        line += f": {', '.join(not_passed)}"
    return {"line": line, "counts": counts, "not_passed": not_passed, "failed": code != 0}


def _count(lines: Iterable[str]) -> tuple[dict[str, int], list[str]]:
    """How many ended how, and the names of those that did not pass.

    Files that failed to load are told in the summary at the end alone, which also tells the
    failures again.
    """
    counts: Counter[str] = Counter()
    not_passed: dict[str, None] = {}
    for line in lines:
        outcome, test = _DONE.search(line), _TEST.search(line)
        if outcome is None or test is None or test[0] in not_passed:
            continue
        counts[outcome[1]] += 1
        if outcome[1] in ("FAILED", "ERROR"):
            not_passed[test[0]] = None
    return dict(counts), list(not_passed)
