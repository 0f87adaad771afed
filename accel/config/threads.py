"""How many threads learner and actor compute with on the cores that workers leave them."""

from __future__ import annotations

from accel.config.learners import cores_per_learner, envs_per_learner, on_gpu
from accel.config.machine import Machine
from accel.config.overlap import resolve_policy_lag
from accel.config.schema import Config
from accel.config.workers import resolve_groups, resolve_workers

ENVS_PER_ACTOR_THREAD = 8  # smaller parts of a forward pass are not worth waking a thread for


def resolve_learner_threads(config: Config, machine: Machine) -> tuple[int, str]:
    """Threads of an update and the reason: all cores in turns with the workers, or what is left."""
    if config.hardware.learner_threads is not None:
        return config.hardware.learner_threads, "as set"
    cores = cores_per_learner(config, machine)
    if _in_turns(config, machine):
        return cores, "workers wait meanwhile"
    if not on_gpu(config, machine):
        return max(1, cores // 2), "half, as acting goes on meanwhile"
    workers, _ = resolve_workers(config, machine)
    return max(1, cores - workers - 1), f"{cores} cores less {workers} workers and the actor"


def resolve_actor_threads(config: Config, machine: Machine) -> tuple[int, str]:
    """Threads of the acting network and the reason.

    It runs while workers step, if there is another group for them to step.
    """
    if config.hardware.actor_threads is not None:
        return config.hardware.actor_threads, "as set"
    if on_gpu(config, machine):
        return 1, "the GPU computes"
    cores = cores_per_learner(config, machine)
    if not _in_turns(config, machine):
        cores = max(1, cores - resolve_learner_threads(config, machine)[0])
    if config.sampler.kind == "serial":
        return cores, "nothing else runs meanwhile"
    if resolve_groups(config, machine)[0] == 1:
        most = envs_per_learner(config, machine) // ENVS_PER_ACTOR_THREAD
        return max(1, min(cores, most)), "workers wait meanwhile"
    workers, _ = resolve_workers(config, machine)
    if cores <= workers:
        return 1, "workers fill the cores"
    return cores - workers, f"{cores} cores less {workers} workers"


def _in_turns(config: Config, machine: Machine) -> bool:
    """Whether acting waits for learning."""
    return resolve_policy_lag(config, machine)[0] == "0"
