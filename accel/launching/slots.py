"""Who gets what: the machine's GPUs and cores divided into slots, each for one run at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from accel.config.errors import ConfigError, Problem
from accel.config.gpu_sharing import SHARE, START_MPS
from accel.config.gpus import VISIBLE, Gpu
from accel.config.machine import EXCLUSIVE, PROHIBITED
from accel.config.slots import LAUNCHER, PREFIX, SlotsConfig, check_slots
from accel.launching.hardware import Core, Hardware


@dataclass(frozen=True)
class Slot:
    """One share of the machine."""

    index: int
    gpus: tuple[Gpu, ...] = ()
    cores: tuple[Core, ...] = ()  # none: any core, shared with the other slots

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Put this thread into the slot; processes started meanwhile stay in it."""
        visible = os.environ.get(VISIBLE)
        before = os.sched_getaffinity(0) if self.cores else set()
        os.environ[VISIBLE] = ",".join(gpu.id for gpu in self.gpus)
        try:
            if self.cores:
                os.sched_setaffinity(0, {core.number for core in self.cores})
            yield
        finally:
            if self.cores:
                os.sched_setaffinity(0, before)
            if visible is None:
                del os.environ[VISIBLE]
            else:
                os.environ[VISIBLE] = visible

    def describe(self) -> str:
        """Its GPUs and cores, e.g. `GPU 0, cores 0-7,64-71 (NUMA node 0)`."""
        parts = [f"GPU {', '.join(_short(gpu.id) for gpu in self.gpus)}"] if self.gpus else []
        if not self.cores:
            return ", ".join([*parts, "not pinned"])
        word = "core" if len(self.cores) == 1 else "cores"
        parts.append(f"{word} {format_list([core.number for core in self.cores])}")
        nodes = sorted({core.node for core in self.cores if core.node is not None})
        where = f" (NUMA node {', '.join(map(str, nodes))})" if nodes else ""
        return ", ".join(parts) + where


def assign(hardware: Hardware, settings: SlotsConfig, can_pin: bool = True) -> list[Slot]:
    """The slots of a machine, equal but for a core left over. Raises ConfigError.

    Cores are taken near a slot's first GPU as long as there are any.
    """
    problems = [*check_slots(settings)] or [*_check_gpus(hardware, settings)]
    problems = problems or [*_check_modes(hardware, settings)]
    if problems:
        raise ConfigError(problems)
    owned = _share_gpus(hardware, settings)
    if not (settings.pin and can_pin):
        return [Slot(index, gpus) for index, gpus in enumerate(owned)]
    share, left_over = divmod(hardware.usable, len(owned))
    if share < 1:
        raise ConfigError([_too_many(hardware, settings, len(owned))])
    free, slots = list(hardware.cores), []
    for index, gpus in enumerate(owned):
        cores = _nearest(free, gpus)[: share + (index < left_over)]
        slots.append(Slot(index, gpus, tuple(cores)))
        free = [core for core in free if core not in cores]
    return slots


def describe(slots: Sequence[Slot], hardware: Hardware) -> list[tuple[str, str]]:
    """The map of a machine: rows (name, text) of its slots and of GPUs that are in none."""
    rows = [(f"slot {slot.index}", slot.describe()) for slot in slots]
    used = {gpu for slot in slots for gpu in slot.gpus}
    idle = [_short(gpu.id) for gpu in hardware.gpus if gpu not in used]
    return [*rows, ("idle", f"GPU {', '.join(idle)}")] if idle else rows


def can_pin() -> bool:
    """Whether this process may choose its cores: some containers and macOS do not let it."""
    try:
        os.sched_setaffinity(0, os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return False
    return True


def format_list(numbers: Sequence[int]) -> str:
    """[0, 1, 2, 8] as the kernel writes it: 0-2,8."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][-1] + 1:
            spans[-1][1:] = [number]
        else:
            spans.append([number])
    return ",".join("-".join(map(str, span)) for span in spans)


def _share_gpus(hardware: Hardware, settings: SlotsConfig) -> list[tuple[Gpu, ...]]:
    """The GPUs of each slot; slots that share GPUs are apart, so that one run fills none twice."""
    if settings.cpu_slots is not None or not hardware.gpus:
        return [()] * (settings.cpu_slots or max(1, hardware.usable // 2))
    size = settings.gpus_per_run
    groups = [hardware.gpus[i : i + size] for i in range(0, len(hardware.gpus) - size + 1, size)]
    return groups * settings.runs_per_gpu


def _nearest(cores: Sequence[Core], gpus: Sequence[Gpu]) -> list[Core]:
    """The cores on the first GPU's NUMA node, then the others, each in their order."""
    node = gpus[0].node if gpus else None
    return sorted(cores, key=lambda core: node is not None and core.node != node)


def _check_gpus(hardware: Hardware, settings: SlotsConfig) -> Iterator[Problem]:
    visible, wanted = len(hardware.gpus), settings.gpus_per_run
    if settings.cpu_slots is not None:
        for name in ("gpus_per_run", "runs_per_gpu"):
            if getattr(settings, name) > 1:
                rule = "means nothing to slots without GPUs, which cpu_slots asks for"
                fix = f"leave out {PREFIX}{name} or {PREFIX}cpu_slots"
                yield Problem(f"{PREFIX}{name}", getattr(settings, name), rule, fix)
    elif wanted > max(visible, 1):
        rule = "must not exceed the visible GPUs"
        fix = f"{PREFIX}gpus_per_run={visible} or less"
        if not visible:
            fix = f"leave it out, or {PREFIX}cpu_slots=... for slots of CPU cores"
        named = os.environ.get(VISIBLE)
        numbers = f"{visible} visible" + (f" ({VISIBLE}={named})" if named is not None else "")
        yield Problem(f"{PREFIX}gpus_per_run", wanted, rule, fix, numbers)
    elif settings.runs_per_gpu > 1 and not visible:
        rule = "means nothing where no GPU is visible"
        fix = f"{PREFIX}cpu_slots={settings.runs_per_gpu}"
        yield Problem(f"{PREFIX}runs_per_gpu", settings.runs_per_gpu, rule, fix)


def _check_modes(hardware: Hardware, settings: SlotsConfig) -> Iterator[Problem]:
    """GPUs of slots must take CUDA programs, as many at once as runs are to share them."""
    gpus = {gpu for owned in _share_gpus(hardware, settings) for gpu in owned}

    def in_mode(mode: str) -> str:
        return ", ".join(sorted(_short(gpu.id) for gpu in gpus if gpu.compute_mode == mode))

    if closed := in_mode(PROHIBITED):
        rule = "must have GPUs that take CUDA programs"
        fix = f"{SHARE}, or leave them out of {VISIBLE}"
        numbers = f"compute mode PROHIBITED: GPU {closed}"
        yield Problem("hydra/launcher", LAUNCHER, rule, fix, numbers)
    alone = in_mode(EXCLUSIVE)
    if alone and settings.runs_per_gpu > 1 and not hardware.has_mps:
        name = f"{PREFIX}runs_per_gpu"
        rule = "must be 1 where a GPU takes one process alone"
        fix = f"{name}=1, or {START_MPS}, or {SHARE}"
        numbers = f"compute mode EXCLUSIVE_PROCESS, and no MPS: GPU {alone}"
        yield Problem(name, settings.runs_per_gpu, rule, fix, numbers)


def _too_many(hardware: Hardware, settings: SlotsConfig, count: int) -> Problem:
    name = "runs_per_gpu" if settings.cpu_slots is None else "cpu_slots"
    most = hardware.usable * getattr(settings, name) // count
    fixes = [f"{PREFIX}{name}={most}"] if most else []
    return Problem(
        f"{PREFIX}{name}",
        getattr(settings, name),
        "must leave each slot a core of its own",
        " or ".join([*fixes, f"{PREFIX}pin=false (runs then share all cores)"]),
        f"{count} slots, {hardware.usable} usable cores",
    )


def _short(gpu: str) -> str:
    """A GPU's name with its UUID cut to the eight digits that tell it from its neighbors."""
    kind, dash, uuid = gpu.partition("-")
    return f"{kind}{dash}{uuid[:8]}"
