"""One GPU and its cores: how near training comes to sampling alone, and what CUDA graphs give.

The command stops before `--limit-s`; given again with the same --output it measures what is left.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from argparse import Namespace
from dataclasses import asdict
from functools import partial
from typing import Any

from accel.config.machine import Machine, usable_cores
from accel.config.validate import check_device
from accel.envs.games import display_name
from accel.runs.machine import describe_machine
from benchmarks import gpu_report, replay, report, training, until_score
from benchmarks.contender import Contender, ContenderFailed
from benchmarks.options import add_output, add_rounds, count, game
from benchmarks.parts import Part, Parts

ALGORITHMS: dict[str, dict[str, object]] = {
    "ppo": {"algo": "ppo"},
    "a2c": {"algo": "a2c"},
    "impala": {"algo": "impala"},
    "dqn_512": {"experiment": "dqn_512", **training.DQN_KEYS},
}
# Ways to train: what is added to a part's name, and to the command.
WAYS: dict[str, tuple[str, dict[str, object]]] = {
    "training": ("", {}),
    "eager": (gpu_report.EAGER, {"hardware.cuda_graphs": "false"}),
    "frames": (", frames made on the device", {"env.frames": "device"}),
    "turns": (", acting and learning in turns", {"runner.policy_lag": "0"}),
}
GROUPS = ("sampling", *WAYS, "replay", "score")
_START_S = 90  # a contender's or a run's, at most
_REPLAY_S = 400  # filling replays of all sizes, and rounds of at most 2 s
_SCORE = 20.0  # of Pong, where 21 is the most
_ABOUT_MACHINE = ("cpu_model", "cores_usable", "gpus", "python")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The words that `launch/benchmark.py gpu` takes."""
    add_rounds(parser, seconds=20, repeats=3)
    add_output(parser)
    parser.add_argument("--parts", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--game", type=game, default="pong", help="any spelling (%(default)s)")
    parser.add_argument("--device", default="cuda", help="cpu or cuda (%(default)s)")
    parser.add_argument("--num-envs", type=count, default=16 * usable_cores(), help="(16 per core)")
    parser.add_argument(
        "--warm-up-s", type=float, default=10, help="seconds left out (%(default)s)"
    )
    parser.add_argument("--capacity", type=count, default=1_000_000, help="of the replay, frames")
    parser.add_argument("--score-s", type=float, default=400, help="most for Pong (%(default)s)")
    parser.add_argument("--limit-s", type=float, default=570, help="of a command (%(default)s)")
    parser.set_defaults(run=run, batch_size=512, threads=usable_cores(), clock="wall")


def run(options: Namespace, result: report.Result) -> None:
    """Measure what is missing of the parts asked for and show all that is there.

    Raises:
        ContenderFailed: naming the parts that failed, at the end.
    """
    for problem in check_device(options.device, Machine.detect(options.device)):
        sys.exit(f"benchmark: {problem}")  # before an earlier result is overwritten
    path = options.output and options.output.with_name(f"{options.output.name}_parts.json")
    parts = Parts(path, _about(options))
    left = parts.measure(_plan(options), options.limit_s)
    result.tables += gpu_report.tables(parts.results, options)
    result.rounds += [{"part": name} | values for name, values in parts.results.items()]
    if options.output:
        gpu_report.write(options.output, parts.results)
    notes = [f"Not measured: {name}: no time left; the same command goes on" for name in left]
    notes += [f"Not measured: {name}: failed" for name in parts.failures]
    result.tables[-1].notes += notes
    if parts.failures:
        words = "\n".join(f"{name}: {why}" for name, why in parts.failures.items())
        raise ContenderFailed(f"{words}\nfailed: {', '.join(parts.failures)} (see above)")


def _about(options: Namespace) -> dict[str, Any]:
    """What results must have in common to stand in one table."""
    machine, origin = describe_machine(), report.origin()
    settings = ("game", "device", "num_envs", "seconds", "repeats", "warm_up_s", "capacity")
    return {
        "code": origin["code"],
        "versions": origin["versions"],
        "machine": {name: machine[name] for name in _ABOUT_MACHINE},
        "settings": {name: getattr(options, name) for name in settings},
    }


def _plan(options: Namespace) -> list[Part]:
    """What is asked for, the most telling first."""
    rounds_s = options.repeats * options.seconds + _START_S
    run_s = _START_S + options.warm_up_s + 2 * options.seconds + training.STOP_TIMEOUT_S
    score_s = options.score_s + training.STOP_TIMEOUT_S
    plan = {
        "sampling": [
            Part("sampling, random actions", rounds_s, partial(_sample, options)),
            Part("sampling, network", rounds_s, partial(_sample, options, options.device)),
        ],
        **{way: [_training(n, way, options, run_s) for n in ALGORITHMS] for way in WAYS},
        "replay": [Part("replay", _REPLAY_S, partial(_replay, options))],
        "score": [Part("score", score_s, partial(_reach_score, options))],
    }
    return [part for group in GROUPS if group in options.parts for part in plan[group]]


def _training(name: str, way: str, options: Namespace, most_s: float) -> Part:
    suffix, changes = WAYS[way]
    arguments = {
        **ALGORITHMS[name],
        "env.game": options.game,
        "env.protocol": "classic",
        "sampler.num_envs": options.num_envs,
        "device": options.device,
        **changes,
    }
    measure = partial(training.measure_run, arguments, options, _START_S)
    return Part(name + suffix, most_s, lambda: _rate(measure()))


def _rate(timed: dict[str, Any]) -> dict[str, Any]:
    return timed | {"steps_per_s": timed["agent_steps"] / timed["wall_s"]}


def _sample(options: Namespace, *device: str) -> dict[str, Any]:
    """The median rate of the sampler on all cores, without learning."""
    words = ("sampler", options.game, str(options.num_envs), str(_num_workers(options)), *device)
    contender = Contender("all_cores.py", *words, python=sys.executable)
    rates = []
    for _ in range(options.repeats):
        contender.start(options.seconds)
        rates.append(_rate(contender.finish(options.seconds))["steps_per_s"])
    contender.close()
    return {"steps_per_s": statistics.median(rates), "rates": rates}


def _num_workers(options: Namespace) -> int:
    """As a run derives them: the most that share the environments of a group evenly."""
    per_group = options.num_envs // 2
    most = min(usable_cores(), per_group)
    return max(n for n in range(1, most + 1) if per_group % n == 0)


def _replay(options: Namespace) -> dict[str, Any]:
    """The tables of the replay benchmark, with shorter rounds."""
    result = report.Result()
    replay.run(Namespace(**vars(options) | {"seconds": min(2.0, options.seconds)}), result)
    return {"tables": [asdict(table) for table in result.tables]}


def _reach_score(options: Namespace) -> dict[str, Any]:
    arguments = {"experiment": "pong_quick", "device": options.device}
    answer = until_score.measure(arguments, _SCORE, options.score_s)
    return answer | {"game": display_name("pong"), "wanted": _SCORE, "limit_s": options.score_s}
