"""The trace file's events, and the picture's bars."""

import json

import pytest

from accel.runs.timeline import save_trace, trace_events, tracks
from accel.runs.timeline_picture import draw_timeline, save_timeline
from accel.types import Span

SPANS = [
    Span("worker 10", "step, group 0", 5.0, 5.001),
    Span("worker 2", "step, group 0", 5.0005, 5.002),
    Span("learner", "forward and backward", 5.01, 5.02),
    Span("learner", "optimizer", 5.02, 5.0205),
    *(Span("actor, group 0", "inference", 5 + t / 1e3, 5.0005 + t / 1e3) for t in range(8)),
    *(Span("actor, group 1", "wait", 5.0005 + t / 1e3, 5.001 + t / 1e3) for t in range(8)),
]


def test_tracks_come_in_the_order_of_roles_and_numbers() -> None:
    order = ["learner", "actor, group 0", "actor, group 1", "worker 2", "worker 10"]
    assert tracks(SPANS) == order


def test_a_trace_has_an_event_in_microseconds_for_every_span(tmp_path) -> None:
    path = tmp_path / "profile.json"
    save_trace(path, SPANS)
    trace = json.loads(path.read_text())
    assert trace == trace_events(SPANS)
    events = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert len(events) == len(SPANS)
    names = {
        event["tid"]: event["args"]["name"]
        for event in trace["traceEvents"]
        if event["name"] == "thread_name"
    }
    optimizer = next(event for event in events if event["name"] == "optimizer")
    assert names[optimizer["tid"]] == "learner"
    assert optimizer["ts"] == pytest.approx(20_000)
    assert optimizer["dur"] == pytest.approx(500)


def test_the_picture_has_a_bar_for_every_span_and_shows_a_few_steps_below(tmp_path) -> None:
    whole, few = draw_timeline(SPANS, "title").axes
    assert [text.get_text() for text in whole.get_yticklabels()] == tracks(SPANS)
    bars = [len(row.get_paths()) for row in whole.collections]
    assert bars == [2, 8, 8, 1, 1]
    assert whole.get_xlim() == pytest.approx((0, 20.5))
    assert few.get_xlim() == pytest.approx((0, 6))  # six steps of the one group served
    save_timeline(tmp_path / "profile.png", SPANS, "title")
    assert (tmp_path / "profile.png").read_bytes().startswith(b"\x89PNG")
