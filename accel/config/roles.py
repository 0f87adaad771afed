"""Who runs where: device, learners, groups of environments, workers, each with its reason."""

from __future__ import annotations

import math

from accel.config.machine import Machine
from accel.config.overlap import resolve_policy_lag
from accel.config.schema import A2CConfig, Config


def resolve_device(device: str, machine: Machine) -> tuple[str, str]:
    """The device and the reason.

    Each rank takes the GPU of its local number, unless its launcher shows it one GPU alone.
    """
    visible = machine.cuda_devices
    if device == "auto" and not visible:
        return "cpu", "no CUDA device found"
    if device in ("auto", "cuda"):
        index = machine.place.local_rank if visible > 1 else 0
        return f"cuda:{index}", f"of {visible} CUDA device(s)"
    return device, "as set"


def on_gpu(config: Config, machine: Machine) -> bool:
    """Whether learning and acting run on a GPU."""
    return resolve_device(config.device, machine)[0].startswith("cuda")


def resolve_learners(config: Config, machine: Machine) -> tuple[int, str]:
    """Learners of the job and the reason for their number."""
    if machine.place.is_given:
        return machine.place.size, "as launched"
    if config.hardware.learners is not None:
        return config.hardware.learners, "as set"
    if config.device in ("auto", "cuda") and machine.cuda_devices > 0:
        return _one_for_each("visible GPU", machine.cuda_devices, config, machine)
    if config.algo.asynchronous and config.device in ("auto", "cpu"):
        # As A3C's threads were.
        return _one_for_each("usable core", machine.cores, config, machine)
    return 1, "no other GPU to use"


def _one_for_each(place: str, count: int, config: Config, machine: Machine) -> tuple[int, str]:
    """As many learners as there are places, or the most that can share the environments."""
    if config.hardware.scaling == "weak":
        return count, f"one per {place}"
    num_envs, groups = config.sampler.num_envs, wanted_groups(config, machine)[0]
    fair = [n for n in range(1, count + 1) if num_envs % n == 0]
    in_groups = [n for n in fair if num_envs % (n * groups) == 0]
    learners = max(in_groups or (fair if config.sampler.num_groups is None else [1]))
    if learners == count:
        return learners, f"one per {place}"
    return learners, f"the most of {count} {place}s that share {num_envs} environments"


def cores_per_learner(config: Config, machine: Machine) -> int:
    """Usable cores of each learner: its own, or its share of the machine's."""
    sharing = machine.place.cores_shared_by
    if not machine.place.is_given:
        sharing, _ = resolve_learners(config, machine)
    return max(1, machine.cores // sharing)


def envs_per_learner(config: Config, machine: Machine) -> int:
    """Environments of each learner."""
    return config.sampler.num_envs // resolve_learners(config, machine)[0]


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


def wanted_groups(config: Config, machine: Machine) -> tuple[int, str]:
    """The number to share environments by; what is not set may still turn out to be 1."""
    sampler = config.sampler
    if sampler.kind == "serial":
        return 1, "environments step in the learner's process"
    if sampler.num_groups is not None:
        return sampler.num_groups, "as set"
    if isinstance(config.algo, A2CConfig) and not on_gpu(config, machine):
        # Some 1.1 times the steps/s with 16 environments on 2 cores: A2C acts for most of its time.
        return 1, "halves are too small for a CPU to act on"
    return 2, "one steps while the other is served"


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
    device, _ = resolve_device(config.device, machine)
    in_turns = resolve_policy_lag(config, device)[0] == "0"
    others = "one for actor and learner" if in_turns else "one for the actor, one for the learner"
    wanted = 1 if in_turns else 2
    left = max(cores - wanted, math.ceil(cores / 2))
    if left == cores:
        return cores, "the only core"
    return left, f"{cores} cores less {others}" if left == cores - wanted else "half of the cores"
