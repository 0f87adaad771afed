"""Precision by name and by what the CPU offers."""

import pytest
import torch

from accel.learning import precision, prepare_device
from accel.learning.precision import resolve_precision


def test_a_request_is_granted():
    assert resolve_precision("fp32", "cpu")[0] == "fp32"
    assert resolve_precision("bf16", "cpu")[0] == "bf16"


@pytest.mark.parametrize(
    ("flags", "expected", "reason"),
    [
        ({"avx2"}, "fp32", "none of"),
        ({"avx512_bf16"}, "bf16", "avx512_bf16"),
        ({"avx512_bf16", "amx_bf16"}, "bf16", "amx_bf16"),
    ],
)
def test_auto_asks_the_cpu(monkeypatch, flags, expected, reason):
    monkeypatch.setattr(precision, "_cpu_flags", lambda: frozenset(flags))
    chosen, why = resolve_precision("auto", "cpu")
    assert chosen == expected and reason in why


def test_unknown_name():
    with pytest.raises(ValueError, match="fp16"):
        resolve_precision("fp16", "cpu")


def test_a_gpu_may_round_float32_products_and_time_its_kernels():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    try:
        prepare_device(torch.device("cuda"))
        assert torch.get_float32_matmul_precision() == "high" and torch.backends.cudnn.benchmark
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.benchmark = before[1]
