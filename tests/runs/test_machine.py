import json
import shutil
from pathlib import Path

import pytest

from accel.runs.machine import describe_machine, list_gpus, package_versions


def test_a_machine_is_described_in_json_values() -> None:
    machine = json.loads(json.dumps(describe_machine()))
    assert machine["cpu_model"] and machine["memory_gb"] > 0.1
    assert 1 <= machine["cores_usable"] <= machine["cores"]


def test_versions_of_missing_packages_are_left_out() -> None:
    versions = package_versions(("numpy", "no-such-package-anywhere"))
    assert list(versions) == ["numpy"]


def _put_nvidia_smi(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = directory / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_gpus_are_listed_by_the_drivers_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "NVIDIA A100-SXM4-80GB, 81920 MiB, 550.54.15"
    _put_nvidia_smi(tmp_path, monkeypatch, f"echo '{line}'; echo '{line}'")
    gpu = {"name": "NVIDIA A100-SXM4-80GB", "memory": "81920 MiB", "driver": "550.54.15"}
    assert list_gpus() == [gpu, gpu]


def test_a_failing_or_missing_driver_means_no_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put_nvidia_smi(tmp_path, monkeypatch, "echo 'driver mismatch' >&2; exit 9")
    assert list_gpus() == []
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert list_gpus() == []
