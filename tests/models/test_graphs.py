"""What a recorded function is given, and when it is recorded anew."""

from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

import pytest
import torch
from torch import Tensor

from accel.models.graphs import MAX_RECORDINGS, WARM_UPS, CudaGraphs, Graphed, GraphError


@dataclass(frozen=True)
class Pair:
    left: Tensor
    right: Tensor
    factor: int


def combine(pair: Pair, scale: float | Tensor, bias: Tensor | None) -> Tensor:
    total = (pair.left + pair.right) * pair.factor * scale
    return total if bias is None else total + bias


def pair(size: int = 3, factor: int = 2) -> Pair:
    return Pair(torch.randn(size), torch.randn(size), factor)


@pytest.mark.parametrize("bias", [None, torch.ones(3)])
def test_replays_with_new_inputs(graphs, bias) -> None:
    recorded, plain = Graphed(combine, graphs), Graphed(combine, None)
    for call in range(WARM_UPS + 3):
        inputs = {"pair": pair(), "scale": 0.1 * call, "bias": bias}
        torch.testing.assert_close(recorded(**inputs), plain(**inputs))
    assert (graphs.num_recorded, graphs.num_replayed) == (1, 3)


def test_a_result_is_overwritten_by_the_next_call(graphs) -> None:
    recorded = Graphed(combine, graphs)
    results = [recorded(pair=pair(), scale=1.0, bias=None) for _ in range(WARM_UPS + 2)]
    assert results[-1] is results[-2] and results[0] is not results[1]


def test_each_shape_and_each_constant_has_its_recording(graphs) -> None:
    recorded = Graphed(combine, graphs)
    for size, factor in [(3, 2), (4, 2), (3, 5)] * (WARM_UPS + 1):
        one = pair(size, factor)
        assert torch.equal(recorded(pair=one, scale=1, bias=None), factor * (one.left + one.right))
    assert graphs.num_recorded == 3


def test_what_is_in_place_is_read_where_it_lies(graphs) -> None:
    slots = [pair(), pair()]
    recorded = Graphed(combine, graphs, in_place=("pair",))
    for call in range(2 * (WARM_UPS + 2)):
        slot = slots[call % 2]
        slot.left.fill_(call)
        torch.testing.assert_close(
            recorded(pair=slot, scale=1.0, bias=None), 2.0 * (call + slot.right)
        )
    assert graphs.num_recorded == 2


def test_forgotten_recordings_are_made_anew(graphs) -> None:
    recorded = Graphed(combine, graphs)
    for _ in range(2):
        for _ in range(WARM_UPS + 1):
            recorded(pair=pair(), scale=1.0, bias=None)
        recorded.forget()
    assert graphs.num_recorded == len(graphs.pools) == 2


def test_few_recordings_are_kept(graphs) -> None:
    recorded = Graphed(combine, graphs)
    for size in range(1, 3 * MAX_RECORDINGS):
        recorded(pair=pair(size), scale=1.0, bias=None)
    assert len(recorded._recordings) == MAX_RECORDINGS


def test_what_is_used_again_and_again_is_kept(graphs) -> None:
    """As that of whole minibatches is, beside others that come once."""
    recorded = Graphed(combine, graphs)
    for size in range(2, 3 * MAX_RECORDINGS):
        for one in (pair(1), pair(1), pair(size)):
            recorded(pair=one, scale=1.0, bias=None)
    assert graphs.num_recorded == 1
    assert graphs.num_replayed == 2 * (3 * MAX_RECORDINGS - 2) - WARM_UPS


def test_new_recordings_can_be_made_when_all_old_ones_were_dropped(graphs) -> None:
    recorded = Graphed(combine, graphs)
    for sizes in ([1] * (WARM_UPS + 1), range(2, MAX_RECORDINGS + 2), [2] * (WARM_UPS + 1)):
        for size in sizes:
            one = pair(size)
            result = recorded(pair=one, scale=1.0, bias=None)
            torch.testing.assert_close(result, 2.0 * (one.left + one.right))
    assert graphs.num_recorded == len(graphs.pools) == 2


def test_one_place_read_in_two_ways_has_two_recordings(graphs) -> None:
    table = torch.arange(9.0).view(3, 3)
    recorded = Graphed(lambda table: table + 0, graphs, in_place=("table",))
    for _ in range(WARM_UPS + 2):
        assert torch.equal(recorded(table=table), table)
        assert torch.equal(recorded(table=table.T), table.T)


def test_the_first_reason_of_a_failed_recording_is_told(monkeypatch) -> None:
    """Not what CUDA says when the recording is ended after it."""

    @contextmanager
    def recording(*arguments):
        try:
            yield
        finally:
            raise RuntimeError("capture was invalidated")

    def waits() -> None:
        raise RuntimeError("the size depends on the device")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    with pytest.raises(GraphError, match=r"the size depends on the device; hardware\.cuda_graphs"):
        CudaGraphs("cuda").record(waits, pool=None)


@pytest.mark.gpu
def test_a_cuda_graph_gives_what_the_call_gives() -> None:
    weight = torch.randn(8, 8, device="cuda")

    def product(inputs: Tensor, scale: float | Tensor) -> Tensor:
        return (inputs @ weight).relu() * scale

    recorded, plain = Graphed(product, CudaGraphs("cuda")), Graphed(product, None)
    for call in range(WARM_UPS + 4):
        weight.add_(0.1)  # in place, as weights are
        for size in (5, 6):
            inputs = {"inputs": torch.randn(size, 8, device="cuda"), "scale": 0.5 * call}
            torch.testing.assert_close(recorded(**inputs), plain(**inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
def test_a_forgotten_cuda_graph_is_made_anew_while_its_output_is_kept() -> None:
    recorded = Graphed(lambda inputs: 2 * inputs, CudaGraphs("cuda"))
    kept = []
    for _ in range(2):
        for call in range(WARM_UPS + 2):
            outputs = recorded(inputs=torch.full((3,), float(call), device="cuda"))
            assert outputs.tolist() == [2.0 * call] * 3
        kept.append(outputs)
        recorded.forget()
    assert kept[0].tolist() == kept[1].tolist()


def record_what_waits() -> None:
    recorded = Graphed(lambda inputs: inputs * inputs.sum().item(), CudaGraphs("cuda"))
    for _ in range(WARM_UPS + 1):
        recorded(inputs=torch.ones(3, device="cuda"))


@pytest.mark.gpu
def test_a_wait_for_the_device_is_explained() -> None:
    """By another process: torch is not to be used for recordings any more once one has failed."""
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as another,
        pytest.raises(GraphError, match=r"hardware\.cuda_graphs=false"),
    ):
        another.submit(record_what_waits).result()
