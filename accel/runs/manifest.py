"""manifest.json: what a run is, who started it when, and how it ended."""

from __future__ import annotations

import json
import os
import socket
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from accel.runs.atomic import write_atomically

FORMAT = 1
EndStatus = Literal["finished", "failed", "interrupted"]


class Manifest:
    """The record of one run, written to disk whole at every change.

    `data` holds: format, status (running, finished, failed or interrupted), exit_reason,
    agent_steps, wall_time_s (as in metrics.csv; there once the run has saved and left), created/
    started/ended (UTC), config, meanings (what settings left open stand for), seeds, command, code,
    versions, machine as of the latest start, `parent` (run, checkpoint, agent_steps, sha256 and
    code of what a forked run started from, else None), and one entry in `attempts` for every start
    or resume.
    """

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self.path = path
        self.data = data

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read an existing manifest. Raises ValueError, naming the file, where it is not one."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:  # bad JSON or bad UTF-8
            raise ValueError(f"{path} cannot be read as a manifest: {error}") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT or "status" not in data:
            raise ValueError(f"{path} is not a manifest of format {FORMAT}")
        return cls(path, data)

    @classmethod
    def new(cls, path: Path) -> Manifest:
        """A manifest without attempts; nothing is written before `begin`."""
        return cls(path, {"format": FORMAT, "status": "new", "created": utc_now()})

    @property
    def is_finished(self) -> bool:
        return self.data["status"] == "finished"

    def begin(self, facts: dict[str, Any], from_agent_steps: int) -> None:
        """Open an attempt from `from_agent_steps` on; `facts` replace the last start's."""
        now = utc_now()
        attempt = {
            "started": now,
            "ended": None,
            "status": "running",
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "from_agent_steps": from_agent_steps,
            "commit": (facts.get("code") or {}).get("commit"),
        }
        self.data.pop("wall_time_s", None)
        attempts = self.data.pop("attempts", [])
        if attempts and attempts[-1]["status"] == "running":  # it had no chance to say how it ended
            attempts[-1]["status"] = "killed"
        self.data.update(
            status="running",
            exit_reason=None,
            agent_steps=from_agent_steps,
            started=now,
            ended=None,
            **facts,
            attempts=[*attempts, attempt],
        )
        self._write()

    def record_progress(self, agent_steps: int) -> None:
        """Note how far the run is; called when a checkpoint has been saved."""
        self.data["agent_steps"] = agent_steps
        self._write()

    def end(
        self,
        status: EndStatus,
        exit_reason: str,
        agent_steps: int | None = None,
        wall_time_s: float | None = None,
    ) -> None:
        """Close the current attempt; what is None stays as it was."""
        if agent_steps is not None:
            self.data["agent_steps"] = agent_steps
        if wall_time_s is not None:
            self.data["wall_time_s"] = round(wall_time_s, 2)
        ending = {"ended": utc_now(), "status": status, "exit_reason": exit_reason}
        self.data.update(ending)
        self.data["attempts"][-1].update(ending, agent_steps=self.data["agent_steps"])
        self._write()

    def _write(self) -> None:
        write_atomically(self.path, json.dumps(self.data, indent=2, ensure_ascii=False) + "\n")


def utc_now() -> str:
    """The time as ISO 8601 in UTC, to the second, e.g. 2026-01-31T12:00:00Z."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
