"""Watches what a program asks of a GPU that is only pretended.

The host is real, the device is fake: whatever has no tensor of `cuda` among its arguments is done
as ever, tensors of `cuda` are torch's FakeTensors, which have shapes and no numbers, and what comes
down from the device is zeros, or true where one truth value is asked for. Every operation passes
through `Watch`, below autograd, where one ATen call is about one kernel.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

import accel
from tests.dry_run.host_memory import HostMemory

GPU = torch.device("cuda", 0)
PACKAGE = os.path.join(os.path.dirname(accel.__file__), "")

# No kernel: memory is reserved or looked at in another way. (What makes views says so itself.)
_FREE = {
    "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view",
    "_reshape_alias", "lift_fresh", "lift", "is_pinned", "set_", "resize_", "record_stream",
    "is_same_size", "_has_compatible_shallow_copy_type",
}  # fmt: skip
# Their outputs' shapes, or a number for the host, depend on what the device holds.
_WAITS = {
    "_local_scalar_dense", "equal", "is_nonzero", "masked_select", "nonzero", "unique_consecutive",
    "unique_dim", "_unique", "_unique2",
}  # fmt: skip
_INDEXES = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


@dataclass(frozen=True)
class Fault:
    """Something that a GPU would not do, or would wait for."""

    kind: str  # "mix-up", "wait"
    what: str
    place: str  # file:function of the package, by which `allowed.py` names it

    def __str__(self) -> str:
        return f"{self.kind} in {self.place}: {self.what}"


class Watch(TorchDispatchMode):
    """Counts what one thread asks of the device, and keeps what it should not have asked.

    `counts` has launches (of kernels, one by one), replays (of recordings), recorded (kernels of
    those replays), up and down (copies from and to the host) and waits (for events). `kernels`
    says which launches. `marks` has the counts so far at each release of environments to step t,
    as (t, counts). `faults` are kept while `is_steady`; what could not be recorded or run on
    a GPU at all raises RuntimeError, as torch would.
    """

    def __init__(self, host: HostMemory) -> None:
        super().__init__()
        self.host = host
        self.counts: Counter[str] = Counter()
        self.kernels: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.marks: list[tuple[int, Counter[str]]] = []
        self.is_steady = False
        self._recording: Counter[str] | None = None

    def __enter__(self) -> Watch:
        _THREAD.watch = self
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        _THREAD.watch = None

    @property
    def is_recording(self) -> bool:
        return self._recording is not None

    def mark(self, t: int) -> None:
        """Environments are released to do step `t`."""
        self.marks.append((t, Counter(self.counts)))

    def begin_recording(self) -> None:
        self._recording = Counter()

    def end_recording(self) -> Counter[str]:
        """What was launched since the recording began."""
        kernels, self._recording = self._recording, None
        return kernels

    def replay(self, kernels: Counter[str]) -> None:
        self.counts["replays"] += 1
        self.counts["recorded"] += kernels.total()

    def wait(self, what: str, is_meant: bool = False) -> None:
        """The host waits for the device: at an event if that `is_meant`, else by accident."""
        self.refuse_in_recording(what)
        if is_meant:
            self.counts["waits"] += 1
        else:
            self._note("wait", what)

    def refuse_in_recording(self, what: str) -> None:
        """Raise where CUDA would: of what the host does, a recording would know nothing."""
        if self.is_recording:
            raise RuntimeError(f"{what} while a recording is made, in {place()}")

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_gpu = [tensor for tensor in tensors if isinstance(tensor, FakeTensor)]
        target = kwargs.get("device")
        if not on_gpu and (target is None or torch.device(target).type != "cuda"):
            return self._on_host(func, args, kwargs)
        if name in ("_to_copy", "copy_"):
            source = args[1] if name == "copy_" else args[0]
            comes_up = not isinstance(source, FakeTensor)
            goes_down = not isinstance(args[0], FakeTensor) or (
                name == "_to_copy" and target is not None and torch.device(target).type == "cpu"
            )
            if comes_up:
                return self._up(name, args, kwargs)
            if goes_down:
                return self._down(name, args, kwargs)
        self._check_places(name, kwargs, tensors)
        if name in _INDEXES:
            args = self._without_masks(name, args)
        if name in _WAITS:
            self.wait(name)
            if name == "_local_scalar_dense":
                return _answer(args[0].dtype)
            if name == "nonzero":
                return torch.empty(args[0].numel(), args[0].dim(), dtype=torch.int64, device=GPU)
        if name.startswith("_fused_adam"):  # has no implementation without numbers
            self._launch(name)
            return None
        out = func(*args, **kwargs)
        if not func.is_view and name not in _FREE and func.namespace != "prim":
            self._launch(name)
        return out

    def _on_host(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do it really. Memory that CUDA would lock is plain memory that we remember."""
        with _disable_current_modes():
            if func.overloadpacket.__name__ == "is_pinned":
                return self.host.is_locked(args[0])
            if func.overloadpacket.__name__ == "_pin_memory":
                return self.host.lock(args[0].clone(memory_format=torch.contiguous_format))
            if kwargs.get("pin_memory"):
                return self.host.lock(func(*args, **{**kwargs, "pin_memory": False}))
            if kwargs.get("generator") is not None:
                self.refuse_in_recording("the host's random numbers are drawn")
            return func(*args, **kwargs)

    def _up(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """From the host to the device."""
        if name == "copy_":
            target, source = args[:2]
            torch.broadcast_to(torch.empty(source.shape, device="meta"), target.shape)
            blocks = not (kwargs.get("non_blocking") or args[2:3] == (True,))
        else:
            source, blocks = args[0], not kwargs.get("non_blocking")
            settings = {key: kwargs.get(key) for key in ("dtype", "memory_format")}
            target = torch.empty_like(source, device=GPU, **settings)
        self._copy("up", source, target, source, blocks)
        return target

    def _down(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """From the device to the host, where zeros arrive."""
        source = args[1] if name == "copy_" else args[0]
        if name == "copy_":
            target, blocks = args[0], not (kwargs.get("non_blocking") or args[2:3] == (True,))
            with _disable_current_modes():
                target.zero_()
        else:
            dtype, blocks = kwargs.get("dtype") or source.dtype, not kwargs.get("non_blocking")
            with _disable_current_modes():
                target = torch.zeros(source.shape, dtype=dtype)
            if not blocks:  # torch takes locked memory for it
                self.host.lock(target)
        self._copy("down", target, target, source, blocks)
        return target

    def _copy(self, way: str, host: Tensor, target: Tensor, source: Tensor, blocks: bool) -> None:
        what = f"{tuple(source.shape)} {source.dtype} copied {way}"
        self.refuse_in_recording(what)
        self.counts[way] += 1
        if blocks:
            self._note("wait", f"{what}, not non_blocking")
        elif not self.host.is_locked(host):
            self._note("wait", f"{what} through memory of the host that is not registered")
        elif source.dtype != target.dtype or not host.is_contiguous():
            self._note("wait", f"{what}, converted in memory of the host that is not registered")

    def _check_places(self, name: str, kwargs: dict[str, Any], tensors: list[Tensor]) -> None:
        """Note where devices are mixed, and raise where torch would."""
        on_host = [tensor for tensor in tensors if not isinstance(tensor, FakeTensor)]
        if on_host and len(on_host) < len(tensors):
            shapes = ", ".join(f"{tuple(each.shape)} {each.dtype}" for each in on_host)
            fault = self._note("mix-up", f"{name} of the device with {shapes} of the host")
            if any(tensor.dim() for tensor in on_host):
                raise RuntimeError(str(fault))
        if name == "repeat_interleave" and kwargs.get("output_size") is None:
            self.wait("repeat_interleave without output_size")

    def _without_masks(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arguments with an index for each mask, as if all of it were true: finding them waits."""
        fills = len(args[1]) == 1 and len(args) > 2 and args[2].numel() == 1
        if fills or not any(map(_is_mask, args[1])):  # filling by one mask is a masked_fill
            return args
        self.wait(f"{name} by a mask")
        indices: list[Tensor | None] = []
        for index in args[1]:
            if _is_mask(index):
                size = (index.dim(), index.numel())
                indices += index.new_empty(size, dtype=torch.int64).unbind()
            else:
                indices.append(index)
        return args[0], indices, *args[2:]

    def _launch(self, name: str) -> None:
        if self._recording is not None:
            self._recording[name] += 1
        else:
            self.counts["launches"] += 1
            self.kernels[name] += 1

    def _note(self, kind: str, what: str) -> Fault:
        fault = Fault(kind, what, place())
        if kind == "mix-up" or (self.is_steady and not _is_saving()):
            self.faults.append(fault)
        return fault


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


_THREAD = threading.local()


def current() -> Watch | None:
    """The watch over this thread."""
    return getattr(_THREAD, "watch", None)


def _answer(dtype: torch.dtype) -> bool | int | float:
    """What the host is told where it asks for a number: that all is well, else zero."""
    return True if dtype == torch.bool else 0.0 if dtype.is_floating_point else 0


def place() -> str:
    """The innermost file and function of the package that are at work: learning/flat.py:refresh."""
    return next(_places(), "autograd")  # whose backward passes have a thread of their own


def _is_saving() -> bool:
    """Whether state is written down: between rollouts, and may wait."""
    return any(place.endswith(":state_dict") for place in _places())


def _places() -> Iterator[str]:
    """File and function of the package's calls, the innermost first."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(PACKAGE):
            yield f"{path.removeprefix(PACKAGE)}:{frame.f_code.co_name}"
        frame = frame.f_back
