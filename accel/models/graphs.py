"""CUDA graphs: work that is the same each time, recorded once and then replayed in one launch.

A recording fixes shapes and memory. So what changes from call to call is copied into buffers that
stay, random numbers come in as arguments, and everything else that a recorded function reads or
writes (weights, gradients, optimizer state) must be changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

WARM_UPS = 3  # calls before a recording: libraries choose kernels and take their workspaces
MAX_RECORDINGS = 8  # of one function: slots of rollouts x sizes of minibatches


class GraphError(RuntimeError):
    """A function could not be recorded."""


class Graphs(Protocol):
    """How functions are recorded; `CudaGraphs`, or a stand-in where there is no GPU."""

    device: torch.device

    def warm_up(self, function: Callable[[], Any]) -> Any:
        """Call `function` as a recording would, and return what it returns."""

    def new_pool(self) -> Any:
        """Memory for recordings of which each may overwrite what another has left there."""

    def record(self, function: Callable[[], Any], pool: Any) -> Callable[[], Any]:
        """Record what `function` does without doing it; the result does it, with equal outputs."""


class CudaGraphs:
    """Recordings on one device, to be run one after the other, never side by side."""

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self._stream = torch.cuda.Stream(self.device)

    def warm_up(self, function: Callable[[], Any]) -> Any:
        """Call `function` on the stream of the recordings, in order with the present one."""
        present = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(present)
        with torch.cuda.stream(self._stream):
            outputs = function()
        present.wait_stream(self._stream)
        return outputs

    def new_pool(self) -> Any:
        """A memory pool; see torch.cuda.graph_pool_handle."""
        return torch.cuda.graph_pool_handle()

    def record(self, function: Callable[[], Any], pool: Any) -> Callable[[], Any]:
        """Record `function`; what it returns lies in the same memory after every replay.

        Raises GraphError if it waits for the device, or does anything else that cannot be recorded.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads, like NCCL's watchdog, may go on using CUDA meanwhile.
            with torch.cuda.graph(graph, pool, self._stream, "thread_local"):
                outputs = function()
        except RuntimeError as error:
            # Ending a recording that has failed fails too, and says nothing of the first reason.
            reason = error.__context__ or error
            raise GraphError(
                f"no CUDA graph can be made of this run's work: {reason}; "
                "hardware.cuda_graphs=false runs it without"
            ) from error

        def replay() -> Any:
            graph.replay()
            return outputs

        return replay


@dataclass
class _Recording:
    inputs: dict[str, Any]  # buffers in the places of tensors and numbers
    calls: int = 0
    replay: Callable[[], Any] | None = None


class Graphed:
    """A function that is called with keyword arguments, recorded at its fourth call.

    Arguments are tensors, numbers, or dataclasses and tuples of tensors and constants. Tensors are
    copied into buffers but for the arguments `in_place`, which must lie in the same memory again
    and again: each place has its recording, as has each shape. Numbers arrive as tensors []
    float64. What it returns is overwritten by the next call.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        graphs: Graphs | None,
        in_place: tuple[str, ...] = (),
    ) -> None:
        """Wrap `function`; with `graphs` None it is called as it is, and numbers stay numbers."""
        self._function, self._graphs, self._in_place = function, graphs, in_place
        self._recordings: dict[Hashable, _Recording] = {}
        self._pool = self._new_pool()

    def __call__(self, **inputs: Any) -> Any:
        if self._graphs is None:
            return self._function(**inputs)
        inputs = {name: self._as_tensor(value) for name, value in inputs.items()}
        key = tuple(_signature(v, name in self._in_place) for name, v in inputs.items())
        recording = self._recordings.pop(key, None) or _Recording(self._buffers(inputs))
        self._recordings[key] = recording  # behind all that were used before it
        if len(self._recordings) > MAX_RECORDINGS:
            self._drop_the_least_recent()
        for name, value in inputs.items():
            if name not in self._in_place:
                _fill(recording.inputs[name], value)
        return self._run(recording)

    def forget(self) -> None:
        """Record anew: what the recordings read or write has moved."""
        self._recordings.clear()
        self._pool = self._new_pool()

    def _drop_the_least_recent(self) -> None:
        del self._recordings[next(iter(self._recordings))]
        # Torch refuses to record into a pool again of which no recording is left.
        if not any(recording.replay for recording in self._recordings.values()):
            self._pool = self._new_pool()

    def _new_pool(self) -> Any:
        """Of this function alone: what another one returns has to outlive this one's calls."""
        return None if self._graphs is None else self._graphs.new_pool()

    def _run(self, recording: _Recording) -> Any:
        def call() -> Any:
            return self._function(**recording.inputs)

        if recording.replay is None:
            if recording.calls < WARM_UPS:
                recording.calls += 1
                return self._graphs.warm_up(call)
            recording.replay = self._graphs.record(call, self._pool)
        return recording.replay()

    def _buffers(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value if name in self._in_place else _buffer(value)
            for name, value in inputs.items()
        }

    def _as_tensor(self, value: Any) -> Any:
        """A number as a tensor; it is written by the device, which nobody waits for."""
        if not isinstance(value, int | float):
            return value
        return torch.full((), value, dtype=torch.float64, device=self._graphs.device)


def _signature(value: Any, in_place: bool) -> Hashable:
    """What must be equal for a recording to fit."""
    if isinstance(value, Tensor):
        # The place is that tensor's as long as its recording, which holds it, is kept.
        place = (value.data_ptr(), value.stride()) if in_place else None
        return place, value.shape, value.dtype
    if _is_record(value):
        return tuple(_signature(part, in_place) for part in _parts(value))
    return value


def _buffer(value: Any) -> Any:
    """A tensor to copy `value` into, or a record of such; anything else is a constant."""
    if isinstance(value, Tensor):
        return torch.empty_like(value, memory_format=torch.contiguous_format)
    if is_dataclass(value):
        return replace(value, **{name: _buffer(part) for name, part in vars(value).items()})
    if isinstance(value, tuple):
        parts = [_buffer(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def _fill(buffer: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        buffer.copy_(value)
    elif _is_record(value):
        for own, part in zip(_parts(buffer), _parts(value)):
            _fill(own, part)


def _is_record(value: Any) -> bool:
    return is_dataclass(value) or isinstance(value, tuple)


def _parts(record: Any) -> tuple[Any, ...]:
    return record if isinstance(record, tuple) else tuple(vars(record).values())
