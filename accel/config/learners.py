"""Learners: how many, on which device, with how many cores and environments, and why."""

from __future__ import annotations

from accel.config.machine import Machine
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
