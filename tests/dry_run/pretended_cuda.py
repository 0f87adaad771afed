"""What takes the place of torch's Python names for CUDA: streams, events, graphs, registration.

All act on the watch over the present thread. A recording runs what it records once, as torch's
does, but does not do it: on fake tensors nothing is ever done. A replay is one count.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from tests.dry_run import watch
from tests.dry_run.host_memory import HostMemory

MEMORY = 139 << 30  # bytes of the pretended device, all free


class Event:
    """An event; waiting for one is how the host is meant to wait."""

    def __init__(self, *settings: Any, **more: Any) -> None: ...

    def record(self, stream: Any = None) -> None: ...

    def wait(self, stream: Any = None) -> None: ...

    def query(self) -> bool:
        watch.current().refuse_in_recording("an event is asked")
        return True

    def synchronize(self) -> None:
        watch.current().wait("an event is waited for", is_meant=True)


class Stream:
    """A stream: all are in order here."""

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        self.device = watch.GPU

    def wait_stream(self, other: Stream) -> None: ...

    def wait_event(self, event: Event) -> None: ...

    def record_event(self, event: Event | None = None) -> Event:
        return Event() if event is None else event

    def synchronize(self) -> None:
        watch.current().wait("a stream is waited for")


class CUDAGraph:
    """A recording: the kernels in it."""

    def __init__(self) -> None:
        self.kernels: Counter[str] | None = None

    def replay(self) -> None:
        watch.current().replay(self.kernels)


@contextlib.contextmanager
def record(graph: CUDAGraph, *settings: Any, **more: Any) -> Iterator[None]:
    """In place of torch.cuda.graph."""
    present = watch.current()
    present.begin_recording()
    try:
        yield
    finally:
        graph.kernels = present.end_recording()


class Cudart:
    """The functions of CUDA's runtime that the package calls by itself."""

    def __init__(self, host: HostMemory) -> None:
        self._host = host

    def cudaHostRegister(self, address: int, size: int, flags: int) -> int:
        return self._host.register(address, size)

    def cudaHostUnregister(self, address: int) -> int:
        return self._host.unregister(address)


def install(host: HostMemory) -> None:
    """Pretend one H200 for the rest of this process."""
    stream, cudart = Stream(), Cudart(host)
    names = {
        "Stream": Stream, "Event": Event, "CUDAGraph": CUDAGraph, "graph": record,
        "stream": lambda stream: contextlib.nullcontext(),
        "device": lambda device: contextlib.nullcontext(),
        "current_stream": lambda device=None: stream,
        "graph_pool_handle": object,
        "cudart": lambda: cudart,
        "set_device": lambda device: None,
        "current_device": lambda: 0,
        "device_count": lambda: 1,
        "is_current_stream_capturing": lambda: watch.current().is_recording,
        "synchronize": lambda device=None: watch.current().wait("the device is waited for"),
        "get_device_capability": lambda device=None: (9, 0),
        "mem_get_info": lambda device=None: (MEMORY, MEMORY),
    }  # fmt: skip
    for name, value in names.items():
        assert hasattr(torch.cuda, name), name
        setattr(torch.cuda, name, value)
    # Recordings tell memory apart by its address, and fake tensors have none.
    FakeTensor.data_ptr = _address


def _address(tensor: FakeTensor) -> int:
    return tensor.untyped_storage()._cdata + tensor.storage_offset() * tensor.element_size()
