"""Measure this machine: how fast accel samples and trains, next to the rivals that are installed.

    python launch/benchmark.py sampling
    python launch/benchmark.py training --games pong --output results/benchmarks/training
    python launch/benchmark.py checkpoint --num-envs 8 32

Rivals (envpool, stable-baselines3) may live in an environment of their own: give its interpreter
with --rival-python. One that is not installed leaves a dash in the table and a line that says how
to install it. Nothing else should run meanwhile; with --clock cpu, sampling figures hold on a busy
machine too.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from benchmarks import checkpoint, report, sampling, scaling, training
from benchmarks.contender import ContenderFailed

from accel.config.machine import allowed_cores
from accel.envs.games import UnknownGame, resolve_game


def main() -> None:
    """Run the benchmark named on the command line, print its tables and write them if asked."""
    options, origin, result = _parse(), report.origin(), report.Result()
    failure = None
    try:
        options.run(options, result)
    except ContenderFailed as error:  # what was measured before is worth keeping
        failure = f"benchmark: {error}"
    print("\n".join(table.markdown() for table in result.tables))
    if options.output:
        report.write(options.output, origin, result)
    sys.exit(failure)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    _add_sampling(kinds.add_parser("sampling", help="environment steps per second, random actions"))
    _add_training(kinds.add_parser("training", help="agent steps per second of whole runs"))
    _add_scaling(kinds.add_parser("scaling", help="PPO with 1, 2, 4, ... learners"))
    _add_checkpoint(kinds.add_parser("checkpoint", help="seconds of one save of a whole run"))
    return parser.parse_args()


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    games = ["pong", "breakout", "seaquest", "ms_pacman", "beam_rider"]
    _add_common(parser, games, seconds=1.5, repeats=7)
    parser.add_argument(
        "--num-envs", type=_count, default=16, help="environments per core (%(default)s)"
    )
    cores = allowed_cores()
    parser.add_argument("--core", type=int, choices=cores, default=cores[0], help="(%(default)s)")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="seconds to divide by on one core (%(default)s)",
    )
    parser.set_defaults(run=sampling.run)


def _add_training(parser: argparse.ArgumentParser) -> None:
    _add_common(parser, ["pong"], seconds=20, repeats=3)
    known, systems = list(training.SETTINGS), list(training.SYSTEMS)
    parser.add_argument("--algorithms", nargs="+", choices=known, default=known)
    parser.add_argument("--systems", nargs="+", choices=systems, default=systems)
    parser.add_argument("--warm-up-s", type=float, default=5, help="seconds left out (%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for all (%(default)s)")
    parser.set_defaults(run=training.run)


def _add_scaling(parser: argparse.ArgumentParser) -> None:
    _add_common(parser, ["pong"], seconds=20, repeats=3)
    parser.add_argument(
        "--learners", nargs="+", type=_count, default=[1, 2, 4, 8], help="(1 2 4 8)"
    )
    parser.add_argument(
        "--num-envs", nargs="+", type=_count, default=[8, 32], help="of each learner (8 32)"
    )
    parser.add_argument(
        "--num-workers", nargs="+", type=_count, default=[1], help="of each learner (1)"
    )
    parser.add_argument("--cores", type=_count, default=1, help="of each learner (%(default)s)")
    parser.add_argument("--warm-up-s", type=float, default=5, help="seconds left out (%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.set_defaults(run=scaling.run)


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--games", nargs="+", type=_game, default=["pong"], help="any spelling")
    parser.add_argument(
        "--num-envs", nargs="+", type=_count, default=[8, 32], help="environments of a run"
    )
    parser.add_argument(
        "--repeats", type=_count, default=20, help="saves of each run (%(default)s)"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    _add_output(parser)
    parser.set_defaults(run=checkpoint.run)


def _add_common(
    parser: argparse.ArgumentParser, games: list[str], seconds: float, repeats: int
) -> None:
    parser.add_argument("--games", nargs="+", type=_game, default=games, help="any spelling")
    parser.add_argument("--seconds", type=float, default=seconds, help="per round (%(default)s)")
    parser.add_argument("--repeats", type=_count, default=repeats, help="rounds (%(default)s)")
    parser.add_argument(
        "--rival-python",
        type=_program,
        default=sys.executable,
        help="interpreter that has the rivals",
    )
    _add_output(parser)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, help="write OUTPUT.md and OUTPUT.json")


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number from 1 on")
    return int(text)


def _program(path: str) -> str:
    if shutil.which(path) is None:
        raise argparse.ArgumentTypeError(f"{path}: no such program")
    return path


def _game(name: str) -> str:
    try:
        return resolve_game(name)
    except UnknownGame as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    main()
