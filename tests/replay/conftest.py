"""The devices that the replay is tested on, and segments that a test can fill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from accel.runners import replay_journal
from tests.replay.kept_replay import ROLLOUT_BYTES, Run


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def tiny_segments(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two rollouts in a segment of a `Run`, of which all are closed at the end."""
    monkeypatch.setattr(replay_journal, "SEGMENT_BYTES", int(2.5 * ROLLOUT_BYTES))
    yield
    while Run.all:
        Run.all.pop().journal.close()
