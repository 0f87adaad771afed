"""Whether several processes may use one GPU: its compute mode, and MPS that serves it to all.

A GPU in mode EXCLUSIVE_PROCESS refuses a second process, unless both go through the one server of
NVIDIA's Multi-Process Service; one in mode PROHIBITED refuses all. See launch/README.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from accel.config.errors import Problem
from accel.config.learners import on_gpu, resolve_device, resolve_learners
from accel.config.machine import EXCLUSIVE, PROHIBITED, Machine
from accel.config.schema import Config

START_MPS = "start MPS (nvidia-cuda-mps-control -d)"
SHARE = "nvidia-smi -c DEFAULT (as root)"


def excludes_others(config: Config, machine: Machine) -> bool:
    """Whether a GPU of this job takes one process alone; with several GPUs all have to allow it."""
    return not machine.has_mps and EXCLUSIVE in map(
        machine.compute_mode, used_gpus(config, machine)
    )


def used_gpus(config: Config, machine: Machine) -> list[int]:
    """Numbers of the visible GPUs that this machine's learners use; the same for each of them."""
    visible, place = machine.cuda_devices, machine.place
    if not on_gpu(config, machine):
        return []
    if config.device.startswith("cuda:") or visible == 1:
        device, _ = resolve_device(config.device, machine)
        number = device.removeprefix("cuda:")
        return [int(number)] if number.isdecimal() else []
    count = place.cores_shared_by if place.is_given else resolve_learners(config, machine)[0]
    return list(range(min(count, visible)))


def check_allowed(device: str, gpus: Iterable[int], machine: Machine) -> Iterator[Problem]:
    """Whether CUDA programs may use these `gpus`, which `device` means, at all."""
    closed = [str(gpu) for gpu in gpus if machine.compute_mode(gpu) == PROHIBITED]
    if closed:
        yield Problem(
            "device",
            device,
            "must be a GPU that takes CUDA programs",
            f"{SHARE}, another GPU by CUDA_VISIBLE_DEVICES or device=cuda:N, or device=cpu",
            f"compute mode PROHIBITED: GPU {', '.join(closed)}",
        )


def sharing_rules(config: Config, machine: Machine) -> Iterator[Problem]:
    """A GPU that takes one process alone gets one: no actor beside a learner, no two learners."""
    yield from check_allowed(config.device, used_gpus(config, machine), machine)
    if not excludes_others(config, machine):
        return
    mode = "compute mode EXCLUSIVE_PROCESS, and no MPS"
    lag = config.runner.policy_lag
    if lag not in (None, "0"):
        rule = "must be 0 where the GPU takes one process alone: the actor would be a second one"
        fix = f"runner.policy_lag=0, or {START_MPS}, or {SHARE}"
        yield Problem("runner.policy_lag", lag, rule, fix, mode)
    learners, _ = resolve_learners(config, machine)
    if learners > 1 and config.device.startswith("cuda:"):
        rule = "must be 1 where the GPU takes one process alone"
        fix = f"hardware.learners=1, or device=cuda for a GPU each, or {START_MPS}, or {SHARE}"
        yield Problem("hardware.learners", learners, rule, fix, f"all on {config.device}; {mode}")
