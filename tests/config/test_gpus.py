"""Compute modes by an nvidia-smi that pretends, and an MPS daemon that does."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accel.config import gpus, machine
from accel.config.gpus import compute_modes, mps_serves
from accel.config.machine import Machine
from accel.runs import machine as runs_machine

TWO = "GPU-aa, H100, Exclusive_Process\nGPU-bb, H100, Default"
MIXED = "GPU-aa, T4, Exclusive_Process\nGPU-bb, H100, Default"


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """nvidia_smi(script) puts a program of that name first on the PATH."""
    for name in (gpus.VISIBLE, "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def install(script: str) -> None:
        gpus._installed.cache_clear()
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)

    yield install
    gpus._installed.cache_clear()


@pytest.fixture
def mps_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("listed", "visible", "order", "expected"),
    [
        (TWO, None, None, ("Exclusive_Process", "Default")),
        (TWO, "1", None, ("Default",)),
        (TWO, "1,0", None, ("Default", "Exclusive_Process")),
        (TWO, "GPU-b", None, ("Default",)),
        (TWO, "MIG-12", None, ("",)),
        (TWO, "", None, ()),
        (MIXED, None, None, ("", "")),  # CUDA may count them the other way round
        (MIXED, "0", "PCI_BUS_ID", ("Exclusive_Process",)),
        (MIXED, "GPU-bb", None, ("Default",)),
        (MIXED.replace("Default", "Exclusive_Process"), "1", None, ("Exclusive_Process",)),
    ],
)
def test_only_the_gpus_that_cuda_would_see_count(
    listed: str, visible: str | None, order: str | None, expected, nvidia_smi, monkeypatch
) -> None:
    nvidia_smi(f'[ "$1" = --query-gpu=uuid,name,compute_mode ] && cat <<END\n{listed}\nEND')
    for name, value in ((gpus.VISIBLE, visible), ("CUDA_DEVICE_ORDER", order)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert compute_modes() == expected


@pytest.mark.parametrize("script", ["exit 9", "echo 'No devices were found'", "exec sleep 60"])
def test_a_tool_that_fails_or_hangs_leaves_modes_unknown(script, nvidia_smi, monkeypatch) -> None:
    monkeypatch.setattr(runs_machine, "_QUERY_TIMEOUT_S", 0.3)
    nvidia_smi(script)
    monkeypatch.setenv(gpus.VISIBLE, "0")
    began = time.monotonic()
    assert [mode for mode in compute_modes() if mode] == []
    assert compute_modes() == compute_modes()  # not asked again
    assert time.monotonic() - began < 5


def test_a_machine_knows_modes_and_mps_of_its_devices(nvidia_smi, mps_folder, monkeypatch) -> None:
    nvidia_smi(f"cat <<END\n{TWO}\nEND")
    monkeypatch.setattr(machine, "_cuda_devices", lambda device: 2)
    found = Machine.detect("cuda")
    assert [found.compute_mode(gpu) for gpu in range(3)] == ["Exclusive_Process", "Default", ""]
    assert not found.has_mps
    with listening(mps_folder / "control", socket.SOCK_SEQPACKET):
        assert Machine.detect("cuda").has_mps
    monkeypatch.setattr(machine, "_cuda_devices", lambda device: 0)
    assert Machine.detect("cuda").compute_modes == ()


def listening(path: Path, kind: int) -> socket.socket:
    daemon = socket.socket(socket.AF_UNIX, kind)
    daemon.bind(str(path))
    if kind != socket.SOCK_DGRAM:
        daemon.listen()
    return daemon


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM])
def test_a_daemon_is_told_from_the_socket_of_a_dead_one(mps_folder: Path, kind: int) -> None:
    assert not mps_serves()
    with listening(mps_folder / "control", kind) as daemon:
        assert mps_serves()
        if kind != socket.SOCK_DGRAM:
            daemon.setblocking(False)
            with pytest.raises(BlockingIOError):  # it was not even called
                daemon.accept()
    assert (mps_folder / "control").exists() and not mps_serves()


def test_a_daemon_that_reads_a_pipe(mps_folder: Path) -> None:
    os.mkfifo(mps_folder / "control")
    assert not mps_serves()
    reader = os.open(mps_folder / "control", os.O_RDONLY | os.O_NONBLOCK)
    assert mps_serves()
    os.close(reader)
    assert not mps_serves()
