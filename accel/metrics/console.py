"""What the person at the terminal, or the job's log file, sees."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO

import rich.console
from rich import box
from rich.console import RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

_SHORT_NAMES = {
    "inference": "inf",
    "communication": "comm",
    "actor_wait": "actor waits",
    "learner_wait": "learner waits",
}


@dataclass(frozen=True)
class ProgressLine:
    """How far and how fast, at one moment. `time_percent` maps sections to % of the wall time."""

    agent_steps: int
    total_agent_steps: int
    frames: int
    steps_per_second: float
    episodic_return: float | None = None
    num_games: int = 0
    time_percent: Mapping[str, float] = field(default_factory=dict)

    def text(self) -> str:
        """One line, e.g. `agent steps 1,234,567 | frames 4.94M | 41% | 1,912 steps/s | ...`."""
        parts = [
            f"agent steps {self.agent_steps:,}",
            f"frames {format_count(self.frames)}",
            f"{100 * self.agent_steps // max(1, self.total_agent_steps)}%",
            f"{self.steps_per_second:,.0f} steps/s",
            f"ETA {format_duration(self.eta_s)}",
        ]
        if self.episodic_return is not None:
            games = "game" if self.num_games == 1 else "games"
            parts.append(f"return {self.episodic_return:,.1f} ({self.num_games} {games})")
        shares = [f"{_SHORT_NAMES.get(k, k)} {v:.0f}%" for k, v in self.time_percent.items()]
        if shares:
            parts.append(" ".join(shares))
        return " | ".join(parts)

    @property
    def eta_s(self) -> float | None:
        """Seconds to the end at the present speed; None while nothing moves."""
        left = max(0, self.total_agent_steps - self.agent_steps)
        if left == 0:
            return 0.0
        return left / self.steps_per_second if self.steps_per_second > 0 else None


class Console:
    """A start report, then progress: a live line on a terminal, a line each time in a log file."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream`, standard output if None. Terminals are recognized as rich does it."""
        self._console = rich.console.Console(
            file=stream or sys.stdout, markup=False, highlight=False, emoji=False
        )
        self._live: Live | None = None

    @property
    def is_terminal(self) -> bool:
        return self._console.is_terminal and not self._console.is_dumb_terminal

    @property
    def height(self) -> int:
        """Lines of the terminal."""
        return self._console.height

    def start(self, title: str, lines: Sequence[tuple[str, str]]) -> None:
        """Print what is about to run as names and values."""
        if not self.is_terminal:
            width = max((len(name) for name, _ in lines), default=0)
            report = [title, *(f"  {name:<{width}}  {value}" for name, value in lines)]
            self._print("\n".join(report))
            return
        table = Table(title=title, title_justify="left", box=box.SIMPLE, show_header=False)
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in lines:
            table.add_row(Text(name), Text(value))
        self._console.print(table)

    def update(self, progress: ProgressLine) -> None:
        """Show new progress: in place on a terminal, else as a new line."""
        if self.is_terminal:
            self.show(Text(progress.text()))
        else:
            self._print(progress.text())

    def show(self, view: RenderableType) -> None:
        """Put `view` in the live line's place; for terminals only."""
        if self._live is None:
            # No refresh thread: the view changes only here, and nothing runs beside the training.
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(view, refresh=True)

    def note(self, text: str) -> None:
        """Print a line of its own, above the live line."""
        self._print(text)

    def warn(self, text: str) -> None:
        """Print a warning of its own, above the live line."""
        self._print(f"warning: {text}", style="yellow")

    def close(self) -> None:
        """Leave the last live line standing and give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, text: str, style: str | None = None) -> None:
        # The style belongs to the text alone: given to print, it would color the live line as well.
        # Soft wrapping keeps long lines whole in a log file, but would crop the live line.
        try:
            self._console.print(Text(text, style or ""), soft_wrap=not self.is_terminal)
            self._console.file.flush()
        except BrokenPipeError:
            raise  # nobody reads any more
        except OSError:
            pass  # a log file on a full disk: the line waits in the buffer, the training does not


def format_count(count: int) -> str:
    """A count in three digits: 950, 12.3k, 4.94M, 2.00B."""
    rounded = float(f"{count:.3g}")  # first, so that 999,999 becomes 1.00M and not 1000k
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if rounded >= size:
            scaled = rounded / size
            digits = 2 if scaled < 10 else 1 if scaled < 100 else 0
            return f"{scaled:.{digits}f}{suffix}"
    return str(count)


def format_duration(seconds: float | None) -> str:
    """12:34, 3:12:34 or 2d 03:12:34; --:-- where it is not known."""
    if seconds is None:
        return "--:--"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02}:{minute:02}:{second:02}"
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"
