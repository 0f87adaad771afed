"""Groups of environments and the workers that step them, each number with its reason."""

from __future__ import annotations

import math

from accel.config.learners import (
    cores_per_learner,
    envs_per_learner,
    on_gpu,
    wanted_groups,
)
from accel.config.machine import Machine
from accel.config.overlap import resolve_policy_lag
from accel.config.schema import Config


def resolve_groups(config: Config, machine: Machine) -> tuple[int, str]:
    """Groups of environments that are served in turn, and the reason for their number."""
    sampler = config.sampler
    wanted, reason = wanted_groups(config, machine)
    if sampler.kind == "serial" or sampler.num_groups is not None:
        return wanted, reason
    num_envs = envs_per_learner(config, machine)
    if num_envs % wanted:
        return 1, f"{num_envs} do not split into {wanted}"
    if num_envs // wanted < (sampler.num_workers or 1):
        return 1, f"{wanted} would not have one for each of {sampler.num_workers} workers"
    return wanted, reason


def resolve_workers(config: Config, machine: Machine) -> tuple[int, str]:
    """Worker processes of a learner and the reason: as many as shorten a step.

    The busiest worker decides how long all wait. Of the numbers that leave it as few environments
    the least is taken: fewer are woken, and the cores are free for others.
    """
    sampler = config.sampler
    if sampler.kind == "serial":
        return 1, "environments step in the learner's process"
    if sampler.num_workers is not None:
        return sampler.num_workers, "as set"
    num_envs = envs_per_learner(config, machine)
    cores, reason = cores_for_workers(config, machine)
    most = min(cores, max(1, num_envs // resolve_groups(config, machine)[0]))
    share = math.ceil(num_envs / most)
    workers = max(1, math.ceil(num_envs / max(1, share)))
    if workers < most:
        return workers, f"{most} would be no faster: the busiest has {share} either way"
    return workers, reason if workers == cores else "one per environment of a group"


def cores_for_workers(config: Config, machine: Machine) -> tuple[int, str]:
    """Cores of a learner that its workers may fill, and the reason for their number.

    Beside a GPU the process that drives it has a core of its own, where acting and learning run at
    once both have: a worker that shares its core with them makes all others wait. They get at most
    half of all. On a CPU acting and learning need all cores, in turns with the workers.
    """
    cores = cores_per_learner(config, machine)
    if not on_gpu(config, machine):
        return cores, "one per usable core"
    in_turns = resolve_policy_lag(config, machine)[0] == "0"
    others = "one for actor and learner" if in_turns else "one for the actor, one for the learner"
    wanted = 1 if in_turns else 2
    left = max(cores - wanted, math.ceil(cores / 2))
    if left == cores:
        return cores, "the only core"
    return left, f"{cores} cores less {others}" if left == cores - wanted else "half of the cores"
