"""A cluster for the tests that want one, and a checkout whose training only tells what it sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launch.mini_slurm import MiniSlurm

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "launch"))  # its modules can be imported as its commands see them
_PACKAGES = "slurmctld slurmd slurm-client munge"


def _why_not() -> str | None:
    missing = [name for name in MiniSlurm.PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not found: apt-get install {_PACKAGES}"
    if os.geteuid() != 0:
        return "SLURM's daemons and imitated GPUs need root"
    version = _try("slurmctld", "-V").stdout.strip()
    if MiniSlurm.VERSION not in version:
        return f"the configuration here is for SLURM {MiniSlurm.VERSION}, not {version}"
    tried = _try(*MiniSlurm.NAMESPACE, "true")
    return f"no process namespaces here: {tried.stderr.strip()}" if tried.returncode else None


def _try(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture(scope="session")
def slurm() -> Iterator[MiniSlurm]:
    """Two nodes of 8 GPUs."""
    reason = _why_not()
    if reason:
        pytest.skip(f"NOT TESTED ON SLURM: {reason}")
    cluster = MiniSlurm()
    try:
        cluster.wait_until_up()
        yield cluster
    finally:
        cluster.down()


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A checkout with our job scripts, and stand_in.py in place of launch/train.py."""
    shutil.copytree(ROOT / "launch" / "slurm", tmp_path / "launch" / "slurm")
    shutil.copytree(ROOT / "launch" / "dgx", tmp_path / "launch" / "dgx")
    shutil.copy(Path(__file__).with_name("stand_in.py"), tmp_path / "launch" / "train.py")
    return tmp_path


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show a failed test's daemons and jobs."""
    report = (yield).get_result()
    cluster = getattr(item, "funcargs", {}).get("slurm")
    if report.failed and cluster is not None:
        report.sections.append(("SLURM", cluster.logs()))
