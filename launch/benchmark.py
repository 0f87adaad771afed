"""Measure this machine: how fast accel samples and trains, next to the rivals that are installed.

    python launch/benchmark.py sampling
    python launch/benchmark.py training --games pong --output results/benchmarks/training
    python launch/benchmark.py checkpoint --num-envs 8 32
    python launch/benchmark.py replay --capacity 100000
    python launch/benchmark.py gpu --output results/benchmarks/gpu
    python launch/benchmark.py all

Rivals (envpool, stable-baselines3, torchrl) may live in an environment of their own: give its
interpreter with --rival-python. One that is not installed leaves a dash in the table and a line
that says how to install it. Nothing else should run meanwhile; with --clock cpu, figures of one
core or thread hold on a busy machine too.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import checkpoint, everything, gpu, replay, report, sampling, scaling, training
from benchmarks.options import add_clock, add_games, add_output, add_rounds, count, folder, program

from accel.config.machine import allowed_cores


def main() -> None:
    """Run the benchmark named on the command line, print its tables and write them if asked."""
    options, origin = _parse(), report.origin()
    sys.exit(report.run(options, origin))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    _add_sampling(kinds.add_parser("sampling", help="environment steps per second, random actions"))
    _add_training(kinds.add_parser("training", help="agent steps per second of whole runs"))
    _add_scaling(kinds.add_parser("scaling", help="PPO with 1, 2, 4, ... learners"))
    _add_checkpoint(kinds.add_parser("checkpoint", help="seconds of one save of a whole run"))
    _add_replay(kinds.add_parser("replay", help="milliseconds of one prioritized batch"))
    everything.add_options(kinds.add_parser("all", help="all of these: renews results/benchmarks"))
    gpu.add_options(kinds.add_parser("gpu", help="a GPU against its cores; resumable"))
    return parser.parse_args()


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    add_games(parser, ["pong", "breakout", "seaquest", "ms_pacman", "beam_rider"])
    add_rounds(parser, seconds=1.5, repeats=7)
    add_output(parser)
    parser.add_argument(
        "--num-envs", type=count, default=16, help="environments per core (%(default)s)"
    )
    cores = allowed_cores()
    parser.add_argument("--core", type=int, choices=cores, default=cores[0], help="(%(default)s)")
    add_clock(parser, "seconds to divide by on one core (%(default)s)")
    parser.set_defaults(measure=sampling.measure, tables=sampling.tables)


def _add_training(parser: argparse.ArgumentParser) -> None:
    add_games(parser, ["pong"])
    add_rounds(parser, seconds=20, repeats=3)
    add_output(parser)
    known, systems = list(training.SETTINGS), list(training.SYSTEMS)
    parser.add_argument("--algorithms", nargs="+", choices=known, default=known)
    parser.add_argument("--systems", nargs="+", choices=systems, default=systems)
    parser.add_argument("--warm-up-s", type=float, default=5, help="seconds left out (%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for all (%(default)s)")
    parser.add_argument("--cleanrl", type=folder, default="", help="a clone of CleanRL")
    parser.add_argument(
        "--script-python", type=program, help="has CleanRL's needs and Sample Factory (as above)"
    )
    parser.set_defaults(measure=training.measure, tables=training.tables)


def _add_scaling(parser: argparse.ArgumentParser) -> None:
    add_games(parser, ["pong"])
    add_rounds(parser, seconds=20, repeats=3)
    add_output(parser)
    parser.add_argument("--learners", nargs="+", type=count, default=[1, 2, 4, 8], help="(1 2 4 8)")
    parser.add_argument(
        "--num-envs", nargs="+", type=count, default=[8, 32], help="of each learner (8 32)"
    )
    parser.add_argument(
        "--num-workers", nargs="+", type=count, default=[1], help="of each learner (1)"
    )
    parser.add_argument("--cores", type=count, default=1, help="of each learner (%(default)s)")
    parser.add_argument("--warm-up-s", type=float, default=5, help="seconds left out (%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.set_defaults(measure=scaling.measure, tables=scaling.tables)


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    add_games(parser, ["pong"])
    parser.add_argument(
        "--num-envs", nargs="+", type=count, default=[8, 32], help="environments of a run"
    )
    parser.add_argument("--repeats", type=count, default=20, help="saves of each run (%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    add_output(parser)
    parser.set_defaults(measure=checkpoint.measure, tables=checkpoint.tables)


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--capacity", type=count, default=1_000_000, help="frames of 84 x 84 (%(default)s: 7 GB)"
    )
    parser.add_argument("--batch-size", type=count, default=512, help="(%(default)s)")
    parser.add_argument("--threads", type=count, default=len(allowed_cores()), help="(%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for accel (%(default)s)")
    add_clock(parser, "cpu: of all threads together (%(default)s)")
    add_rounds(parser, seconds=2, repeats=7)
    add_output(parser)
    parser.set_defaults(measure=replay.measure, tables=replay.tables)


if __name__ == "__main__":
    main()
