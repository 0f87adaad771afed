"""Trainings of every algorithm on a pretended GPU: no mix-up, no hidden wait, no more launches.

Real `Training` objects under torch's FakeTensorMode on `cuda`, with streams, events, graphs and
registered memory pretended (`watch.py`, `pretended_cuda.py`), in a process of their own. They fail
on a tensor of the host among the device's, on a copy or a wait inside a recording, on a wait in the
steady loop that is not in `allowed.py`, and on more launches than `launches.yaml` has, which

    python -m tests.dry_run.renew

writes anew: after a change that is worth it, and for another version of torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.dry_run import runtime, table
from tests.dry_run.allowed import ALLOWED
from tests.dry_run.names import TRAININGS
from tests.dry_run.parent import DryRuns

pytestmark = [
    pytest.mark.skipif(
        torch.version.cuda is not None or torch.version.hip is not None,
        reason="the dry run pretends a GPU to builds of torch without CUDA; here is one with it",
    ),
    pytest.mark.skipif(
        runtime.compiler() is None, reason="the DRY RUN is left out: it needs a C++ compiler"
    ),
]


@pytest.fixture(scope="session")
def dry_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DryRuns]:
    runs = DryRuns(tmp_path_factory.mktemp("dry_run"))
    yield runs
    runs.close()


def faults_of(report: dict[str, Any]) -> dict[str, list[str]]:
    """By place."""
    faults: dict[str, list[str]] = {}
    for kind, place, what, count in report["faults"]:
        faults.setdefault(place, []).append(f"{count} x {kind}: {what}")
    return faults


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_asks_of_the_gpu_what_it_may(name: str, dry_runs: DryRuns) -> None:
    report = dry_runs.run(name)
    assert "failed" not in report, report["failed"]
    faults = faults_of(report)
    assert {place: faults[place] for place in faults.keys() - ALLOWED.keys()} == {}
    overdue = {place for place, allowance in ALLOWED.items() if allowance.training == name}
    assert overdue <= faults.keys(), "these wait no more: remove them from allowed.py"
    assert not any(kind == "mix-up" for kind, *_ in report["faults"])
    assert report["counts"]["learn"]["replays"] >= 2, "nothing was learned, or nothing recorded"
    assert table.excess(name, report["counts"]) == [], report["kernels"]
    assert not report["left_registered"]


def test_the_table_has_every_training_and_no_other() -> None:
    assert table.tables()[table.known_version()].keys() == TRAININGS.keys()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("item in a recording", "_local_scalar_dense while a recording is made"),
        ("upload in a recording", "copied up while a recording is made"),
        ("download in a recording", "copied down while a recording is made"),
        ("mask in a recording", "index by a mask while a recording is made"),
        ("host's random numbers in a recording", "random numbers are drawn while a recording"),
        ("tensor of the host", r"mix-up in .*: add of the device with \(2,\) torch.float32"),
        ("index of the host", r"mix-up in .*: index of the device with \(2,\) torch.int64"),
    ],
)
def test_what_no_gpu_would_do_ends_the_run(fault: str, message: str, dry_runs: DryRuns) -> None:
    failed = dry_runs.run("a2c", fault).get("failed", "it did not fail")
    assert re.search(message, failed), failed


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("number of the host", r"mix-up: add of the device with \(\) torch.float32 of the host"),
        ("download", "wait: .* copied down, not non_blocking"),
        ("download that does not wait", "wait: .* copied down through memory .* not registered"),
        ("upload", "wait: .* copied up, not non_blocking"),
        ("upload that does not wait", "wait: .* copied up through memory .* not registered"),
        ("memory not registered", "wait: .* copied up through memory .* not registered"),
        ("item", "wait: _local_scalar_dense"),
        ("wait", "wait: the device is waited for"),
    ],
)
def test_what_a_gpu_would_wait_for_is_a_fault(fault: str, message: str, dry_runs: DryRuns) -> None:
    report = dry_runs.run("a2c", fault)
    faults = {place: each for place, each in faults_of(report).items() if place not in ALLOWED}
    assert any(re.search(message, each) for part in faults.values() for each in part), report


@pytest.mark.parametrize(
    ("fault", "key"), [("launches", "launches"), ("launches in a recording", "recorded")]
)
def test_more_launches_than_the_table_has_are_told(fault: str, key: str, dry_runs: DryRuns) -> None:
    report = dry_runs.run("a2c", fault)
    told = table.excess("a2c", report["counts"])
    assert len(told) == 1 and f" {key}, " in told[0]
