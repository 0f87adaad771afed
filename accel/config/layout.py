"""Rules about how the work is divided: environments over workers, samples over minibatches, memory.

Each rule comes with the keys it computes with; it is not asked while one of them is out of range.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from accel.config.derive import (
    envs_per_update,
    keeps_columns_whole,
    num_minibatches,
    rollout_bytes,
)
from accel.config.errors import Problem
from accel.config.learners import (
    cores_per_learner,
    envs_per_learner,
    resolve_device,
    resolve_learners,
    wanted_groups,
)
from accel.config.learning import warmup_rules
from accel.config.machine import Machine
from accel.config.overlap import NUM_SLOTS, resolve_policy_lag
from accel.config.replay import disk_rules, size_rules
from accel.config.schema import Config, DQNConfig
from accel.config.units import in_units
from accel.config.workers import resolve_groups

Rule = Callable[[Config, Machine], Iterator[Problem]]


def _learners(config: Config, machine: Machine) -> Iterator[Problem]:
    """What a launcher has started, or would start, must fit the config and the machine."""
    wanted, place, device = config.hardware.learners, machine.place, config.device
    learners, _ = resolve_learners(config, machine)
    if place.is_given and wanted not in (None, place.size):
        rule = "must be the number of ranks that the launcher started, or be left out"
        yield Problem("hardware.learners", wanted, rule, f"hardware.learners={place.size}")
    elif not place.is_given and device in ("auto", "cuda") and 0 < machine.cuda_devices < learners:
        yield Problem(
            "hardware.learners",
            learners,
            "must not exceed the GPUs that are visible, one for each",
            f"hardware.learners={machine.cuda_devices}, or device=cuda:0 to share one (slow)",
            f"{learners} learners, {machine.cuda_devices} visible GPU(s)",
        )
    on_cpu = resolve_device(device, machine)[0] == "cpu"
    if not place.is_given and on_cpu and learners > machine.cores:
        rule = "should not exceed the cores this process may use: learners would take turns"
        numbers = f"{learners} learners, {machine.cores} usable cores"
        fix = f"hardware.learners={machine.cores} or less"
        yield _warning("hardware.learners", learners, rule, fix, numbers)
    if config.hardware.learning_rate_scaling != "none" and config.hardware.scaling == "strong":
        rule = "means nothing to hardware.scaling=strong, whose batch does not grow"
        fix = "hardware.scaling=weak, or leave it out"
        value = config.hardware.learning_rate_scaling
        yield _warning("hardware.learning_rate_scaling", value, rule, fix)


def _asynchronous(config: Config, machine: Machine) -> Iterator[Problem]:
    """Several asynchronous learners share memory, and nothing else."""
    algo, (learners, _) = config.algo, resolve_learners(config, machine)
    if not algo.asynchronous or learners == 1:
        return
    if not sys.platform.startswith("linux"):
        rule = "needs Linux, where processes can share memory and lock parts of it"
        fix = "algo.asynchronous=false, or hardware.learners=1"
        yield Problem("algo.asynchronous", True, rule, fix, f"this is {sys.platform}")
    if isinstance(algo, DQNConfig) and algo.save_replay:
        rule = "must be false for asynchronous learners, each of which has a replay of its own"
        fix = "algo.save_replay=false (a resumed run fills its replay anew), or hardware.learners=1"
        yield Problem("algo.save_replay", True, rule, fix, f"{learners} learners")


def _even_share(config: Config, machine: Machine) -> Iterator[Problem]:
    """Every learner has as many environments, and every group of a learner."""
    sampler = config.sampler
    learners, _ = resolve_learners(config, machine)
    groups, _ = resolve_groups(config, machine)
    unit = groups * learners
    if sampler.num_envs % unit == 0:
        return
    fixes = [f"sampler.num_envs={n}" for n in _multiples_near(sampler.num_envs, unit)]
    if groups > 1 and sampler.num_envs % learners == 0:
        fixes.append("sampler.num_groups=1")
    counts = {"num_groups": (groups, "groups"), "learners": (learners, "learners")}
    shared = {name: f"{n} {word}" for name, (n, word) in counts.items() if n > 1}
    total = f" = {unit}" if len(shared) > 1 else ""
    yield Problem(
        "sampler.num_envs",
        sampler.num_envs,
        f"must be a multiple of {' x '.join(shared)}",
        " or ".join(fixes),
        f"{' x '.join(shared.values())}{total}; {sampler.num_envs} = "
        f"{sampler.num_envs // unit} x {unit} + {sampler.num_envs % unit}",
    )


def _two_groups(config: Config, machine: Machine) -> Iterator[Problem]:
    """An odd number of environments runs, but workers and actor take turns."""
    sampler, per_learner = config.sampler, envs_per_learner(config, machine)
    learners, _ = resolve_learners(config, machine)
    if sampler.num_groups is not None or sampler.num_envs % learners or per_learner < 2:
        return
    if wanted_groups(config, machine)[0] == 2 and per_learner % 2:
        near = _multiples_near(sampler.num_envs, 2 * learners)
        yield _warning(
            "sampler.num_envs",
            sampler.num_envs,
            "should make two groups of each learner's environments: one steps, one is served",
            " or ".join(f"sampler.num_envs={n}" for n in near),
            f"{per_learner} = {per_learner // 2} x 2 + 1: one group",
        )


def _worker_count(config: Config, machine: Machine) -> Iterator[Problem]:
    sampler, cores = config.sampler, cores_per_learner(config, machine)
    workers, groups = sampler.num_workers, resolve_groups(config, machine)[0]
    if sampler.kind == "serial":
        if workers not in (None, 1):
            rule = "is ignored by sampler.kind=serial, which steps in the learner's process"
            fix = "leave it out, or sampler=parallel"
            yield _warning("sampler.num_workers", workers, rule, fix)
        return
    learners = resolve_learners(config, machine)[0]
    per_group = sampler.num_envs // (groups * learners)
    if workers is not None and per_group and workers > per_group:
        by_learners = f" x {learners} learners" if learners > 1 else ""
        fixes = [f"sampler.num_workers={per_group}"]
        fixes.append(f"sampler.num_envs={workers * groups * learners}")
        yield Problem(
            "sampler.num_workers",
            workers,
            "must leave every worker an environment of every group",
            " or ".join(fixes),
            f"{sampler.num_envs} environments / ({groups} group{'s' * (groups > 1)}{by_learners}) "
            f"= {per_group} for {workers} workers",
        )
    elif workers is not None and workers > cores:
        rule = "should not exceed the cores this process may use: workers would take turns"
        numbers = f"{workers} workers, {cores} usable cores"
        fix = f"sampler.num_workers={cores} or less"
        yield _warning("sampler.num_workers", workers, rule, fix, numbers)


def _minibatches(config: Config, machine: Machine) -> Iterator[Problem]:
    parts = num_minibatches(config)
    steps, num_envs = config.algo.rollout_length, envs_per_update(config, machine)
    in_columns = keeps_columns_whole(config)
    batch = num_envs if in_columns else steps * num_envs
    numbers = "" if in_columns else f"{steps} x {num_envs} = {batch:,}; "
    numbers += f"{batch:,} / {parts} = {batch / parts:,.6g}"
    if batch % parts:
        divisors = _divisors_near(batch, parts)
        whole = "num_envs: a recurrent network, or V-trace, learns from whole columns"
        yield Problem(
            "algo.num_minibatches",
            parts,
            f"must divide {whole if in_columns else 'rollout_length x num_envs'}",
            " or ".join(f"algo.num_minibatches={n}" for n in divisors),
            numbers,
        )
    elif batch == parts and parts > 1 and not in_columns:
        rule = "should leave more than one sample per minibatch"
        fix = f"algo.num_minibatches={max(1, parts // 32)}"
        yield _warning("algo.num_minibatches", parts, rule, fix, numbers)


def _length(config: Config, machine: Machine) -> Iterator[Problem]:
    steps, num_envs = config.algo.rollout_length, config.sampler.num_envs
    batch = steps * num_envs
    if config.total_agent_steps < batch:
        yield Problem(
            "total_agent_steps",
            config.total_agent_steps,
            "must allow at least one update",
            f"total_agent_steps={batch} or more, or a smaller algo.rollout_length",
            f"one rollout is {steps} x {num_envs} = {batch:,} agent steps",
        )


def _memory(config: Config, machine: Machine) -> Iterator[Problem]:
    one, available = rollout_bytes(config), machine.memory_bytes
    slots = NUM_SLOTS[resolve_policy_lag(config, machine)[0]]
    if one is None or slots * one <= available:
        return
    needed = slots * one
    steps, num_envs = config.algo.rollout_length, config.sampler.num_envs
    fewer = num_envs * available // needed
    yield Problem(
        "sampler.num_envs",
        num_envs,
        "must leave a rollout that fits the memory",
        f"sampler.num_envs={fewer} or less" if fewer else "a smaller algo.rollout_length",
        f"({steps} + {config.env.frame_stack}) x {num_envs} frames of {config.env.screen} and "
        f"their records{f', {slots} times' if slots > 1 else ''} = {in_units(needed)}; "
        f"available: {in_units(available)}",
    )


def _threads(config: Config, machine: Machine) -> Iterator[Problem]:
    for name in ("learner_threads", "actor_threads"):
        threads = getattr(config.hardware, name)
        cores = cores_per_learner(config, machine)
        if threads is not None and threads > cores:
            rule = "should not exceed the cores this process may use"
            numbers = f"{threads} threads, {cores} usable cores"
            fix = f"hardware.{name}={cores}, or leave it out"
            yield _warning(f"hardware.{name}", threads, rule, fix, numbers)


LEARNERS = (
    "device",
    "hardware.learners",
    "hardware.scaling",
    "hardware.learning_rate_scaling",
    "sampler.kind",
    "sampler.num_envs",
    "sampler.num_groups",
)
_ENVS = (*LEARNERS, "sampler.num_workers")
_BATCH = ("algo.rollout_length", "sampler.num_envs")
_LEARNING = (
    "algo.learning_rate_warmup_agent_steps",
    "algo.learning_starts",
    "total_agent_steps",
)
_CORE = ("model.core", "model.core_size")
_REPLAY = (
    *_BATCH,
    *_CORE,
    "algo.replay_capacity",
    "algo.n_step",
    "algo.burn_in",
    "algo.sequence_length",
    "env.screen",
    "env.frame_stack",
    "env.frame_skip",
    "env.max_frames_per_episode",
)

LAYOUT_RULES: tuple[tuple[tuple[str, ...], Rule], ...] = (
    (LEARNERS, _learners),
    (_ENVS, _even_share),
    (_ENVS, _two_groups),
    (_ENVS, _worker_count),
    (LEARNERS, _asynchronous),
    ((*_BATCH, *LEARNERS, "algo.num_minibatches", "model.core"), _minibatches),
    ((*_BATCH, "total_agent_steps"), _length),
    ((*_BATCH, *LEARNERS, *_LEARNING), warmup_rules),
    (
        (*_BATCH, *_CORE, "env.kind", "env.screen", "env.frame_stack", "runner.policy_lag"),
        _memory,
    ),
    (_REPLAY, size_rules),
    ((*_REPLAY, "total_agent_steps"), disk_rules),
    ((*LEARNERS, "hardware.learner_threads", "hardware.actor_threads"), _threads),
)


def _multiples_near(number: int, unit: int) -> list[int]:
    """The multiples of `unit` just below and above, without 0."""
    below = number // unit * unit
    return [n for n in (below, below + unit) if n > 0]


def _divisors_near(number: int, wanted: int) -> list[int]:
    """The divisors of `number` just below and above `wanted`."""
    below = next(n for n in range(min(wanted, number), 0, -1) if number % n == 0)
    above = next((n for n in range(wanted + 1, number) if number % n == 0), None)
    return [below] if above is None else [below, above]


def _warning(key: str, value: object, rule: str, fix: str, numbers: str = "") -> Problem:
    return Problem(key, value, rule, fix, numbers, severity="warning")
