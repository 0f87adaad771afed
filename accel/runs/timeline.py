"""A timeline as a file that chrome://tracing and ui.perfetto.dev show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accel.runs.atomic import write_atomically
from accel.types import Span


def save_trace(path: Path, spans: Sequence[Span]) -> None:
    """Write `spans` in Chrome's trace event format (JSON object form) and replace `path`."""
    write_atomically(path, json.dumps(trace_events(spans)))


def trace_events(spans: Sequence[Span]) -> dict[str, Any]:
    """Complete events in microseconds since the first span's start, a thread for each track."""
    origin = min(span.start_s for span in spans)
    numbers = {track: number for number, track in enumerate(tracks(spans))}
    names = [
        {"name": "thread_name", "ph": "M", "pid": 0, "tid": number, "args": {"name": track}}
        for track, number in numbers.items()
    ]
    order = [
        {"name": "thread_sort_index", "ph": "M", "pid": 0, "tid": n, "args": {"sort_index": n}}
        for n in numbers.values()
    ]
    events = [
        {
            "name": span.name,
            "ph": "X",
            "pid": 0,
            "tid": numbers[span.track],
            "ts": round(1e6 * (span.start_s - origin), 3),
            "dur": round(1e6 * (span.end_s - span.start_s), 3),
        }
        for span in spans
    ]
    return {"displayTimeUnit": "ms", "traceEvents": [*names, *order, *events]}


def tracks(spans: Sequence[Span]) -> list[str]:
    """Who did something: the learner first, then actor and workers by their numbers."""
    return sorted({span.track for span in spans}, key=_place)


def _place(track: str) -> tuple[int, int]:
    """Sort key of a track: its kind, then its number."""
    kinds = ("learner", "actor", "environments", "worker")
    number = track.split()[-1]
    kind = next(i for i, kind in enumerate(kinds) if track.startswith(kind))
    return kind, int(number) if number.isdigit() else 0
