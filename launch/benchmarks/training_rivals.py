"""Training runs of other libraries at our settings, timed from outside or by themselves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from argparse import Namespace
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ale_py.registration import rom_id_to_name

from accel.config.machine import allowed_cores
from benchmarks.contender import HERE, ContenderFailed, bound

START_TIMEOUT_S = 300  # until a run's first sign of progress
ENDLESS = 10**9  # agent steps


@dataclass(frozen=True)
class Program:
    """A library's own training program, and how to read its progress off what it prints."""

    library: str
    path: str  # a file, or a module that the interpreter finds
    arguments: tuple[str, ...]
    progress: re.Pattern[str]  # a line of progress; its group, if any, counts agent steps
    steps_per_line: int = 0  # agent steps that each such line stands for, where it has no group


# PPO as in training.SETTINGS. CleanRL prints its speed once an update, of 8 x 128 agent steps.
CLEANRL = Program(
    "CleanRL's script",
    "{cleanrl}/cleanrl/ppo_atari.py",
    ("--{no_}cuda", "--env-id", "{env_id}", "--num-envs", "8", "--total-timesteps", str(ENDLESS)),
    re.compile(r"^SPS:"),
    steps_per_line=1024,
)
# Asynchronous, which is its default and its strength; two workers, each with its games in halves.
SAMPLE_FACTORY = Program(
    "Sample Factory",
    "sf_examples.atari.train_atari",
    (
        "--algo=APPO", "--env=atari_{game}", "--device={sf_device}", "--train_dir=train_dir",
        "--experiment=benchmark", "--num_workers=2", "--num_envs_per_worker=4",
        "--worker_num_splits=2", "--rollout=128", "--batch_size=256", "--num_batches_per_epoch=4",
        "--num_epochs=4", "--summaries_use_frameskip=False", "--with_wandb=False",
        f"--train_for_env_steps={ENDLESS}",
    ),
    re.compile(r"Total num frames: (\d+)"),
)  # fmt: skip


def measure_sb3(game: str, algorithm: str, vec_env: str, options: Namespace) -> dict[str, Any]:
    """stable-baselines3: {"agent_steps", "wall_s", "versions"}, or {"missing"}."""
    # With the module in front, stable-baselines3's subprocesses register the games too.
    env_id = f"ale_py:{rom_id_to_name(game)}NoFrameskip-v4"
    arguments = [algorithm, vec_env, env_id, options.device, len(allowed_cores())]
    arguments += [options.warm_up_s, options.seconds]
    try:
        answer = subprocess.run(
            [options.rival_python, str(HERE / "sb3_training.py"), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S + options.warm_up_s + 10 * options.seconds,
            check=True,
        )
    except subprocess.SubprocessError as error:
        raise ContenderFailed(f"{error}\n{(error.stderr or '')[-3000:]}") from error
    return json.loads(answer.stdout.splitlines()[-1])


def measure_program(program: Program, game: str, options: Namespace) -> dict[str, Any]:
    """Run `program` and watch what it prints: as `measure_sb3`."""
    words = {
        "cleanrl": options.cleanrl,
        "env_id": f"{rom_id_to_name(game)}NoFrameskip-v4",
        "game": game.replace("_", ""),
        "no_": "" if options.device == "cuda" else "no-",
        "sf_device": "gpu" if options.device == "cuda" else "cpu",
    }
    command = [
        options.script_python or options.rival_python,
        str(HERE / "rival_script.py"),
        *(text.format_map(words) for text in (program.path, *program.arguments)),
    ]
    limit_s = START_TIMEOUT_S + options.warm_up_s + 10 * options.seconds
    with _printed(command, options.cleanrl, limit_s) as lines:
        greeting = next((line for line in lines if line.startswith("{")), None)
        if greeting is None:
            raise ContenderFailed(f"{program.library} ended before it began")
        answer = json.loads(greeting)
        if "missing" in answer:
            return answer
        # Of an environment of their own: other versions than the rest's.
        libraries = ", ".join(f"{name} {version}" for name, version in answer["versions"].items())
        versions = {program.library: f"in an environment of {libraries}"}
        return {"versions": versions} | watch(lines, program, options.warm_up_s, options.seconds)


def watch(
    lines: Iterator[str], program: Program, warm_up_s: float, seconds: float
) -> dict[str, float]:
    """Agent steps and seconds between two signs of progress after the warm-up.

    The warm-up begins with the first agent steps learned from.
    """
    steps, begin, start = 0, None, None
    last: deque[str] = deque(maxlen=20)
    for line in lines:
        last.append(line)
        match = program.progress.search(line)
        if match is None:
            continue
        now = time.monotonic()
        steps = steps + program.steps_per_line if program.steps_per_line else int(match[1])
        if begin is None and steps:
            begin = now
        if begin is None or now - begin < warm_up_s:
            continue
        if start is None:
            start, first = now, steps
        elif now - start >= seconds:
            return {"agent_steps": steps - first, "wall_s": now - start}
    raise ContenderFailed(f"{program.library} ended before its time:\n{''.join(last)}")


@contextmanager
def _printed(command: list[str], python_path: str, limit_s: float) -> Iterator[Iterator[str]]:
    """What `command` prints, line by line as it comes.

    It and all its processes end with the context, or after `limit_s`, when the lines end.
    """
    with tempfile.TemporaryDirectory(prefix="accel-benchmark-") as folder:
        process = subprocess.Popen(
            bound(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": python_path, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # a process group of its own, to be ended as one
        )
        timer = threading.Timer(limit_s, _end, [process])
        timer.start()
        try:
            yield process.stdout
        finally:
            timer.cancel()
            _end(process)
            process.wait()
            process.stdout.close()


def _end(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
