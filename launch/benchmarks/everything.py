"""All benchmarks, one after the other: the tables of results/benchmarks renewed by one command."""

from __future__ import annotations

import argparse
import subprocess
import sys
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

import torch

from benchmarks.contender import REPOSITORY, ContenderFailed
from benchmarks.options import program
from benchmarks.parts import Parts

_BENCHMARK = REPOSITORY / "launch" / "benchmark.py"
_KINDS = ("sampling", "training", "replay", "scaling", "checkpoint")
_STOP_TIMEOUT_S = 60
_WITHOUT_RIVALS = ("checkpoint", "gpu")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where to write, and who has the rivals; each benchmark's own defaults hold for the rest."""
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "results" / "benchmarks")
    parser.add_argument("--rival-python", type=program, default=sys.executable)
    parser.set_defaults(measure=measure, tables=lambda options, parts: [], output=None)


def measure(options: Namespace, parts: Parts) -> None:
    """Run each as a command of its own; one that fails does not stop the others.

    Raises:
        ContenderFailed: naming those that failed, at the end.
    """
    kinds = (*_KINDS, "gpu") if torch.cuda.is_available() else _KINDS
    failed = [kind for kind in kinds if _call(_command(kind, options))]
    if failed:
        raise ContenderFailed(f"failed: {', '.join(failed)} (see above)")


def _call(command: list[str]) -> int:
    """Run it; asked to stop, let it show and keep what it has."""
    process = subprocess.Popen(command)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_TIMEOUT_S)
            process.kill()


def _command(kind: str, options: Namespace) -> list[str]:
    command = [sys.executable, str(_BENCHMARK), kind, "--output", str(options.folder / kind)]
    if kind not in _WITHOUT_RIVALS:
        command += ["--rival-python", options.rival_python]
    return command
