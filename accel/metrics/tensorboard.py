"""TensorBoard curves. The one file of this room that imports torch.

torch's own SummaryWriter dates events and names files by the machine's clock: set back between a
crash and its resume, it makes TensorBoard read the new file before the old one. It also dies of a
full disk. So records are written here, in the same format.
"""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import custom_scalars, scalar, text

from accel.metrics.appended import AppendedFile
from accel.metrics.clock import WallClock

# Tags that belong in one picture, for the "Custom Scalars" tab; TensorBoard reads them as patterns.
_LAYOUT = {
    "overview": {
        "return": ["Multiline", ["charts/episodic_return", "eval/episodic_return"]],
        "losses": ["Multiline", ["losses/.*"]],
        "speed": ["Multiline", ["charts/SPS"]],
        "time split (%)": ["Multiline", ["stats/.*_percent"]],
        "dead units": ["Multiline", ["stats/dead_units.*"]],
    }
}
_PREFIX = "events.out.tfevents."  # then seconds since 1970: files are read in the order of names
_VERSION = "brain.Event:2"


class TensorBoardWriter:
    """Writes scalars to event files in `log_dir`; on resume hides those beyond `resume_step`."""

    def __init__(self, log_dir: Path, *, resume_step: int | None = None) -> None:
        """Open a new event file. `resume_step`: agent steps to go on from, None for a new run."""
        log_dir.mkdir(parents=True, exist_ok=True)
        self._first_step = resume_step or 0
        self._clock = WallClock(not_before=_end_of_records(log_dir) + 1)
        name = f"{_PREFIX}{int(self._clock.now()):010d}.{socket.gethostname()}.{os.getpid()}"
        self._file = AppendedFile(log_dir / name)
        self._append(Event(file_version=_VERSION))
        if resume_step is not None:
            # TensorBoard drops events at or after this step, but the one at resume_step holds.
            start = SessionLog(status=SessionLog.START)
            self._append(Event(step=resume_step + 1, session_log=start))
        self._append(Event(summary=custom_scalars(_LAYOUT)))

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Show a nested config as a table under "Text"."""
        rows = [f"|{key}|{value}|" for key, value in _flatten(config)]
        table = "\n".join(["|key|value|", "|-|-|", *rows])
        self._append(Event(summary=text("config", table), step=self._first_step))

    def write(self, metrics: Mapping[str, float], agent_steps: int) -> None:
        """Add one point to each curve; the operating system has it when this returns."""
        summaries = [scalar(tag, value).value[0] for tag, value in metrics.items()]
        events = [Event(summary=Summary(value=[value]), step=agent_steps) for value in summaries]
        self._append(*events)

    def close(self) -> None:
        self._file.close()

    def _append(self, *events: Event) -> None:
        buffer = io.BytesIO()
        records = RecordWriter(buffer)
        for event in events:
            event.wall_time = self._clock.now()
            records.write(event.SerializeToString())
        self._file.append(buffer.getvalue())


def _end_of_records(log_dir: Path) -> float:
    """The latest time that event files here are named by or were written at; 0 without any."""
    files = list(log_dir.glob(f"{_PREFIX}*"))
    stamps = [path.name.removeprefix(_PREFIX).partition(".")[0] for path in files]
    named = [float(stamp) for stamp in stamps if stamp.isdigit()]
    return max([0.0, *named, *(path.stat().st_mtime for path in files)])


def _flatten(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Dotted keys and printable values, safe inside a Markdown table."""
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            rows.extend(_flatten(value, f"{prefix}{key}."))
        else:
            rows.append((f"{prefix}{key}", str(value).replace("|", "\\|").replace("\n", " ")))
    return rows
