"""Which number format the torsos run in."""

from __future__ import annotations

from pathlib import Path

import torch

PRECISIONS = ("fp32", "bf16")
CPU_FLAGS = ("amx_bf16", "avx512_bf16")  # fastest first


def resolve_precision(precision: str, device: torch.device | str) -> tuple[str, str]:
    """Return ("fp32" or "bf16", the reason) for precision "auto", "fp32" or "bf16".

    "auto" takes bfloat16 where the device computes it natively. A request is granted as it is, even
    where bfloat16 is emulated and slow.
    """
    if precision in PRECISIONS:
        return precision, "as asked for"
    if precision != "auto":
        raise ValueError(f"precision={precision!r}: choose auto, {' or '.join(PRECISIONS)}")
    device = torch.device(device)
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        native = major >= 8
        reason = f"CUDA compute capability {major}.{minor}, bfloat16 needs 8.0"
        return ("bf16" if native else "fp32"), reason
    if device.type == "cpu":
        flag = next((flag for flag in CPU_FLAGS if flag in _cpu_flags()), None)
        if flag is not None:
            return "bf16", f"the CPU has {flag}"
        return "fp32", f"the CPU has none of {', '.join(CPU_FLAGS)}"
    return "fp32", f"no rule for device {device.type}"


def _cpu_flags() -> frozenset[str]:
    """Return Linux's feature flags of the first CPU; empty where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.split())
