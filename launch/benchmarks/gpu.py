"""One GPU and its cores: how near training comes to sampling alone, and what CUDA graphs give.

The most telling figures come first. A part is begun if what it takes as a rule fits into what is
left of `--limit-s`; there the command ends in any case. Given again with the same --output it
measures what is left.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

from accel.config.derive import Derived, derive
from accel.config.machine import Machine, usable_cores
from accel.config.validate import check_device
from accel.envs.games import display_name
from benchmarks import gpu_report, replay, report, training, until_score
from benchmarks.composing import compose_config
from benchmarks.contender import Contender, ContenderFailed
from benchmarks.options import add_output, add_rounds, count, game
from benchmarks.parts import Part, Parts

ALGORITHMS: dict[str, dict[str, object]] = {
    "ppo": {"algo": "ppo"},
    "a2c": {"algo": "a2c"},
    "impala": {"algo": "impala"},
    "dqn_512": {
        "experiment": "dqn_512",
        **training.DQN_KEYS,
        "algo.save_replay": "false",  # the disk is not what is measured
    },
}
# Ways to train: what is added to a part's name, and to the command.
WAYS: dict[str, tuple[str, dict[str, object]]] = {
    "training": ("", {}),
    "eager": (gpu_report.EAGER, {"hardware.cuda_graphs": "false"}),
    "frames": (", frames made on the device", {"env.frames": "device"}),
    "turns": (", acting and learning in turns", {"runner.policy_lag": "0"}),
}
GROUPS = ("sampling", *WAYS, "replay", "score")
_START_S = 60  # a run's, at most
# What parts take, beyond what is measured; guesses for 16 cores and a GPU.
_STARTS_IN_S = 20
_STOPS_IN_S = 5
_REPLAY_S = 150  # filling replays of all sizes, and rounds of at most 2 s
_SCORE_S = 180  # until Pong is won
_SCORE = 18.0  # of Pong, where 21 is the most


def add_options(parser: argparse.ArgumentParser) -> None:
    """The words that `launch/benchmark.py gpu` takes."""
    add_rounds(parser, seconds=10, repeats=2)
    add_output(parser)
    parser.add_argument("--parts", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--game", type=game, default="pong", help="any spelling (%(default)s)")
    parser.add_argument("--device", default="cuda", help="cpu or cuda (%(default)s)")
    parser.add_argument("--num-envs", type=count, default=16 * usable_cores(), help="(16 per core)")
    parser.add_argument("--warm-up-s", type=float, default=5, help="seconds left out (%(default)s)")
    parser.add_argument("--capacity", type=count, default=1_000_000, help="of the replay, frames")
    parser.add_argument("--score-s", type=float, default=400, help="most for Pong (%(default)s)")
    parser.add_argument("--limit-s", type=float, default=570, help="of a command (%(default)s)")
    parser.set_defaults(measure=measure, tables=tables, finish=finish, keeps_parts=True)
    parser.set_defaults(batch_size=512, threads=usable_cores(), clock="wall")


def measure(options: Namespace, parts: Parts) -> None:
    """Measure what is missing of the parts asked for.

    Raises:
        ContenderFailed: naming the parts that failed, at the end.
    """
    for problem in check_device(options.device, Machine.detect(options.device)):
        sys.exit(f"benchmark: {problem}")  # before an earlier result is overwritten
    parts.measure(_plan(options, parts), options.limit_s)
    if parts.failures:
        words = "\n".join(f"{name}: {why}" for name, why in parts.failures.items())
        raise ContenderFailed(f"{words}\nfailed: {', '.join(parts.failures)} (see above)")


def tables(options: Namespace, parts: Parts) -> list[report.Table]:
    """What has been measured so far, and what is left."""
    found = gpu_report.tables(parts.results, options)
    found[0].notes += [
        f"Not measured: {part.name}: "
        + ("failed" if part.name in parts.failures else "no time left; the same command goes on")
        for part in _plan(options, parts)
        if part.name not in parts.results
    ]
    if any(name.startswith("replay,") for name in parts.results):
        found += replay.tables(_replay_options(options), parts)
    return found


def finish(output: Path, parts: Parts) -> None:
    """Write the speeds as csv and as a picture, too."""
    gpu_report.write(output, parts.results)


def _plan(options: Namespace, parts: Parts) -> list[Part]:
    """What is asked for, the most telling first."""
    rounds_s = _STARTS_IN_S + options.repeats * options.seconds
    run_s = _STARTS_IN_S + options.warm_up_s + options.seconds + _STOPS_IN_S
    score_s = min(_SCORE_S, options.score_s)
    runs = {way: [_training(n, way, options, run_s) for n in ALGORITHMS] for way in WAYS}
    network = partial(_sample, options, options.device)
    wanted = [
        ("sampling", Part("sampling, random actions", rounds_s, partial(_sample, options))),
        ("training", runs["training"][0]),
        ("score", Part("score", score_s, partial(_reach_score, options))),
        ("sampling", Part("sampling, network", rounds_s, network)),
        *(("training", run) for run in runs["training"][1:]),
        *((way, runs[way][0]) for way in WAYS if way != "training"),
        *((way, run) for way in WAYS if way != "training" for run in runs[way][1:]),
        ("replay", Part("replay", _REPLAY_S, partial(_replay, options, parts))),
    ]
    return [part for group, part in wanted if group in options.parts]


def _training(name: str, way: str, options: Namespace, takes_s: float) -> Part:
    suffix, changes = WAYS[way]
    arguments = {**_of_run(options), **ALGORITHMS[name], **changes}
    measure_it = partial(training.measure_run, arguments, options, _START_S)
    return Part(name + suffix, takes_s, lambda: rate(measure_it()))


def _of_run(options: Namespace) -> dict[str, object]:
    return {
        "env.game": options.game,
        "env.protocol": "classic",
        "sampler.num_envs": options.num_envs,
        "device": options.device,
    }


def derive_run(arguments: dict[str, object], machine: Machine) -> Derived:
    """What a run of these keys works out for itself."""
    return derive(compose_config([f"{key}={value}" for key, value in arguments.items()]), machine)


def rate(timed: dict[str, Any]) -> dict[str, Any]:
    """With the agent steps per second that follow."""
    return timed | {"steps_per_s": timed["agent_steps"] / timed["wall_s"]}


def sample(
    arguments: dict[str, object], repeats: int, seconds: float, *device: str
) -> dict[str, Any]:
    """The median rate of the sampler alone, with the workers that a run of `arguments` has.

    With a device, a network acts on it.
    """
    derived = derive_run(arguments, Machine.detect(str(arguments["device"])))
    numbers = (derived.envs_per_learner, derived.num_workers, derived.num_groups)
    words = ("sampler", str(arguments["env.game"]), *map(str, numbers), *device)
    rates = []
    with Contender("all_cores.py", *words, python=sys.executable) as contender:
        for _ in range(repeats):
            contender.start(seconds)
            rates.append(rate(contender.finish(seconds))["steps_per_s"])
    return {
        "steps_per_s": statistics.median(rates),
        "rates": rates,
        "arguments": arguments | {"sampler.num_workers": derived.num_workers},
    }


def _sample(options: Namespace, *device: str) -> dict[str, Any]:
    return sample(_of_run(options), options.repeats, options.seconds, *device)


def _replay_options(options: Namespace) -> Namespace:
    """Of the replay benchmark, with shorter rounds."""
    return Namespace(**vars(options) | {"seconds": min(2.0, options.seconds)})


def _replay(options: Namespace, parts: Parts) -> dict[str, Any]:
    """Its figures are parts of their own."""
    replay.measure(_replay_options(options), parts)
    return {}


def _reach_score(options: Namespace) -> dict[str, Any]:
    arguments = {"experiment": "pong_quick", "device": options.device}
    answer = until_score.measure(arguments, _SCORE, options.score_s)
    return answer | {"game": display_name("pong"), "wanted": _SCORE, "limit_s": options.score_s}
