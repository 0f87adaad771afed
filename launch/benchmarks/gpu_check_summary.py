"""What is known of each step: a line in summary.txt, the figures in results.json.

Both are replaced whole at every change, so that whoever is cut off leaves them complete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from accel.runs.atomic import write_atomically

_NOT_KEPT = ("dropped", "running")  # of an earlier command
_SHARES = ("env", "inference", "wait", "learn")  # of the wall time
_SIZES = {"sampler.num_envs": "environments", "sampler.num_workers": "workers"}
_LIMIT, _REFERENCE = "sampling", "ppo_lag1"


@dataclass(frozen=True)
class Record:
    """How a step ended."""

    status: str  # done | FAILED | skipped | dropped | running | cut off
    line: str
    took_s: float
    code: str  # that it was done with
    date: str
    values: dict[str, Any] = field(default_factory=dict)


class Summary:
    """The records of all steps by name, those found in the folder included."""

    def __init__(self, folder: Path, device: str, heading: str, titles: Mapping[str, str]) -> None:
        """Steps are kept in the order of `titles`; records of another device do not count."""
        self.heading, self._device, self._titles = heading, device, titles
        self._summary, self._results = folder / "summary.txt", folder / "results.json"
        self._ending = "not ended yet"
        self._records = _read(self._results, device)
        self._write()

    def is_finished(self, name: str) -> bool:
        return self.status(name) == "done"

    def status(self, name: str) -> str:
        return self._records[name].status if name in self._records else "not yet"

    def keep(self, name: str, record: Record) -> None:
        """Write a step's record down."""
        self._records[name] = record
        self._write()

    def close(self, how: str) -> None:
        """Write down how it all ended."""
        self._ending = how
        self._write()

    def line(self, name: str) -> str:
        """One step in one line."""
        title = self._titles.get(name, "")
        record = self._records.get(name)
        if record is None:
            return f"{name:<12} {'not yet':<8} {'':>5}   {title}"
        took = f"{record.took_s:.0f} s" if record.took_s else ""
        words = [title, *filter(None, (self._in_words(name, record), *self._other_code(record)))]
        return f"{name:<12} {record.status:<8} {took:>5}   {': '.join(filter(None, words))}"

    def text(self) -> str:
        """The whole summary."""
        others = [name for name in self._records if name not in self._titles]
        lines = [self.line(name) for name in (*self._titles, *others)]
        return "\n".join([self.heading, "", *lines, "", self._ending])

    def _in_words(self, name: str, record: Record) -> str:
        """The line that came with it, or what follows from a speed and the others' speeds."""
        rate = record.values.get("steps_per_s")
        if rate is None or record.status != "done":
            return record.line.replace("\n", " ")
        words = [f"{rate:,.0f} agent steps/s"]
        keys = record.values.get("arguments", {})
        words += [f"{keys[key]} {word}" for key, word in _SIZES.items() if key in keys]
        limit, reference = (self._speed(it) for it in (_LIMIT, _REFERENCE))
        if limit and name != _LIMIT:
            words.append(f"{rate / limit:.2f} of sampling")
        if reference and name.startswith("ppo") and name != _REFERENCE:
            words.append(f"{rate / reference:.2f} x lag 1")
        percent = record.values.get("percent", {})
        words += [f"{share} {percent[share]:.0f} %" for share in _SHARES if share in percent]
        return ", ".join(words)

    def _speed(self, name: str) -> float | None:
        record = self._records.get(name)
        return record.values.get("steps_per_s") if record and record.status == "done" else None

    def _other_code(self, record: Record) -> list[str]:
        """Told of a record whose code is not this command's."""
        return [] if f"code {record.code}" in self.heading else [f"[of code {record.code}]"]

    def _write(self) -> None:
        records = {name: asdict(record) for name, record in self._records.items()}
        content = {"heading": self.heading, "device": self._device, "steps": records}
        write_atomically(self._results, json.dumps(content, indent=1) + "\n")
        write_atomically(self._summary, self.text() + "\n")


def _read(path: Path, device: str) -> dict[str, Record]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        steps = content["steps"] if content["device"] == device else {}
        return {
            name: Record(**record)
            for name, record in steps.items()
            if record["status"] != "dropped"
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}
