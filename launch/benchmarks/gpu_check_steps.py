"""What each step of launch/gpu_check.sh does, in a process of its own.

    python gpu_check_steps.py NAME DEVICE LIMIT_S OUTPUT ANSWER

ANSWER becomes a JSON file: "line", the result in words, and figures. Exit code 1 with a line is a
result that is a failure. With DEVICE cpu everything is small: a rehearsal, whose figures say
nothing.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks, as its commands see it
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from accel.config.machine import Machine, usable_cores
from accel.runs.atomic import write_atomically
from benchmarks import curve_picture, gpu, machine_facts, training, until_score
from benchmarks.contender import ContenderFailed
from benchmarks.pytest_run import run_pytest

Answer = dict[str, Any]
Arguments = dict[str, object]

_SPARE_S = 20  # of a step's limit: for starting, and for ending what it runs
_WORKERS = 14  # one core for the actor and one for the learner, of 16


@dataclass(frozen=True)
class Context:
    """Where a step runs and for how long."""

    device: str
    limit_s: float
    output: Path

    @property
    def is_rehearsal(self) -> bool:
        return self.device == "cpu"


def check_machine(context: Context) -> Answer:
    """Versions, clocks, hyperthreads; on a GPU also one kernel."""
    facts = machine_facts.collect()
    line = machine_facts.describe(facts)
    if not context.is_rehearsal:
        import torch

        start = time.monotonic()
        total = torch.ones(1 << 20, device=context.device).sum().item()
        assert total == 1 << 20, f"a sum on {context.device} gave {total}"
        line += f"; first kernel after {time.monotonic() - start:.1f} s"
    return {"line": line, "facts": facts}


def check_recording(context: Context) -> Answer:
    """One test of recordings, before all of them."""
    test = "test_replays_with_new_inputs[None]"
    words = [f"tests/models/test_graphs.py::{test}"]
    if not context.is_rehearsal:
        test = "test_a_cuda_graph_gives_what_the_call_gives"
        words = ["-m", "gpu", f"tests/models/test_graphs.py::{test}"]
    return run_pytest(words, context.limit_s - _SPARE_S)


def check_tests(context: Context) -> Answer:
    """All tests that need a GPU; the rehearsal collects and skips them."""
    return run_pytest(["-m", "gpu", "tests"], context.limit_s - _SPARE_S, min(8, usable_cores()))


def reach_score(context: Context) -> Answer:
    """The README's main job until it wins: minutes and curve."""
    experiment, score = ("cartpole", 25.0) if context.is_rehearsal else ("pong_quick", 18.0)
    arguments = {"experiment": experiment, "device": context.device}
    arguments |= {"algo.num_epochs": 2} if context.is_rehearsal else {}  # of 20
    curve = context.output / "score.csv"
    limit_s = context.limit_s - _SPARE_S
    found = until_score.measure(arguments, score, limit_s, curve)
    curve_picture.draw(curve, f"experiment={experiment} device={context.device}")
    if found["reached"]:
        rate = found["agent_steps"] / found["wall_s"]
        line = (
            f"+{score:g} after {found['wall_s'] / 60:.2f} minutes, {found['agent_steps']:,} agent "
            f"steps, {rate:,.0f} a second"
        )
    else:
        best = "no game ended" if found["score"] is None else f"best mean {found['score']:.2f}"
        line = f"+{score:g} not within {limit_s:.0f} s: {best} at {found['agent_steps']:,} steps"
    return {"line": f"experiment={experiment}: {line}", **found}


def sample(context: Context) -> Answer:
    """The sampler alone, random actions, as PPO with a lag of one has it."""
    arguments = _ppo(context) | {"runner.policy_lag": 1}
    return gpu.sample(arguments, 1, 0.5 if context.is_rehearsal else 10.0)


def train(arguments: Callable[[Context], Arguments], context: Context) -> Answer:
    """A run's steady speed and where its time goes."""
    seconds, warm_up_s = (1.0, 0.5) if context.is_rehearsal else (10.0, 5.0)
    settings = Namespace(seconds=seconds, warm_up_s=warm_up_s)
    start_s = context.limit_s - _SPARE_S - warm_up_s - 2 * seconds
    keys = arguments(context)
    return {**gpu.rate(training.measure_run(keys, settings, start_s)), "arguments": keys}


def _ppo(context: Context) -> Arguments:
    return _algorithm("ppo", context) | (
        {"algo.rollout_length": 32} if context.is_rehearsal else {}
    )


def _algorithm(name: str, context: Context) -> Arguments:
    return {
        "algo": name,
        "env.game": "pong",
        "env.protocol": "classic",
        "sampler.num_envs": 8 if context.is_rehearsal else 256,
        "device": context.device,
    }


def _ppo_with(**changes: object) -> Callable[[Context], Arguments]:
    keys = {name.replace("__", "."): value for name, value in changes.items()}
    return lambda context: _ppo(context) | keys


def _with_other_workers(context: Context) -> Arguments:
    """14 of them; a worker on every core where 14 are what a run has anyway."""
    keys = _ppo(context) | {"runner.policy_lag": 1}
    most = min(usable_cores(), int(keys["sampler.num_envs"]) // 2)
    wanted = min(_WORKERS, max(1, most - 2))
    derived = gpu.derive_run(keys, Machine.detect(context.device)).num_workers
    return keys | {"sampler.num_workers": most if derived == wanted else wanted}


def _dqn(context: Context) -> Arguments:
    keys = {"experiment": "dqn_512", "env.game": "pong", "device": context.device}
    keys |= {"algo.save_replay": "false", **training.DQN_KEYS}
    small = {"sampler.num_envs": 8, "algo.batch_size": 32, "algo.replay_capacity": 8000}
    return keys | (small if context.is_rehearsal else {})


STEPS: dict[str, Callable[[Context], Answer]] = {
    "machine": check_machine,
    "recording": check_recording,
    "tests": check_tests,
    "score": reach_score,
    "sampling": sample,
    "ppo_lag1": partial(train, _ppo_with(runner__policy_lag=1)),
    "ppo_lag0": partial(train, _ppo_with(runner__policy_lag=0)),
    "ppo_eager": partial(train, _ppo_with(runner__policy_lag=1, hardware__cuda_graphs="false")),
    "ppo_workers": partial(train, _with_other_workers),
    "ppo_mps": partial(train, _ppo_with(runner__policy_lag=1)),
    "dqn": partial(train, _dqn),
    "impala": partial(train, partial(_algorithm, "impala")),
    "a2c": partial(train, partial(_algorithm, "a2c")),
}


def main() -> None:
    """Do the step named on the command line."""
    name, device, limit_s, output, answer_path = sys.argv[1:]
    try:
        answer = STEPS[name](Context(device, float(limit_s), Path(output)))
    except ContenderFailed as error:
        sys.exit(str(error))
    write_atomically(Path(answer_path), json.dumps(answer))
    sys.exit(1 if answer.get("failed") else 0)


if __name__ == "__main__":
    main()
