import io
from typing import Any

import pytest

from accel.metrics.console import Console, ProgressLine, format_count, format_duration


def _progress(**changes: Any) -> ProgressLine:
    values: dict[str, Any] = {
        "agent_steps": 1_234_567,
        "total_agent_steps": 3_000_000,
        "frames": 4_938_268,
        "steps_per_second": 1912.4,
        "episodic_return": 17.34,
        "num_games": 100,
        "time_percent": {"env": 41.2, "inference": 12.0, "wait": 5.4, "learn": 41.6},
    }
    return ProgressLine(**(values | changes))


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return _Terminal()


def test_the_progress_line() -> None:
    assert _progress().text() == (
        "agent steps 1,234,567 | frames 4.94M | 41% | 1,912 steps/s | ETA 15:23 | "
        "return 17.3 (100 games) | env 41% inf 12% wait 5% learn 42%"
    )


def test_the_progress_line_says_only_what_is_known() -> None:
    line = _progress(episodic_return=None, steps_per_second=0.0, time_percent={}).text()
    assert line == "agent steps 1,234,567 | frames 4.94M | 41% | 0 steps/s | ETA --:--"
    assert "return -20.0 (1 game)" in _progress(episodic_return=-20.0, num_games=1).text()


def test_a_run_that_is_done_or_beyond_needs_no_more_time() -> None:
    line = _progress(agent_steps=3_000_100, steps_per_second=0.0).text()
    assert "100%" in line and "ETA 0:00" in line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "--:--"),
        (0.4, "0:00"),
        (59.6, "1:00"),
        (754, "12:34"),
        (11_554, "3:12:34"),
        (3600 * 51 + 154, "2d 03:02:34"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (9_996, "10.0k"),
        (12_345, "12.3k"),
        (999_999, "1.00M"),
        (4_938_268, "4.94M"),
        (200_000_000, "200M"),
        (2_000_000_000, "2.00B"),
    ],
)
def test_counts(count: int, text: str) -> None:
    assert format_count(count) == text


def test_a_log_file_gets_plain_whole_lines() -> None:
    log = io.StringIO()
    console = Console(log)
    console.start("run results/runs/pong", [("game", "pong [red]"), ("envs", "8 " * 100)])
    console.update(_progress())
    console.note("saved [bold]checkpoint")
    console.warn("disk is " + "nearly " * 30 + "full")
    console.close()
    lines = log.getvalue().splitlines()
    assert "\x1b" not in log.getvalue()
    assert lines[:2] == ["run results/runs/pong", "  game  pong [red]"]
    assert lines[3] == _progress().text()
    assert lines[4] == "saved [bold]checkpoint"
    assert lines[5].startswith("warning: disk is nearly") and lines[5].endswith("full")
    assert len(lines) == 6


def test_a_terminal_gets_one_line_that_renews_itself(terminal: _Terminal) -> None:
    console = Console(terminal)
    console.start("run", [("game", "pong")])
    console.update(_progress())
    console.update(_progress(agent_steps=2_000_000))
    console.warn("slow disk")
    console.update(_progress(agent_steps=2_500_000))
    console.close()
    screen = _render(terminal.getvalue())
    assert sum("agent steps" in line for line in screen) == 1
    (warning,) = (number for number, line in enumerate(screen) if line == "warning: slow disk")
    (progress,) = (number for number, line in enumerate(screen) if "2,500,000" in line)
    assert warning < progress
    assert "\x1b[?25h" in terminal.getvalue()  # the cursor is shown again


def test_notes_neither_tear_nor_color_a_live_line_that_wraps(
    terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    console = Console(terminal)
    console.update(_progress())
    console.warn("slow disk")
    console.note("a note that is longer than the terminal is wide, " * 2)
    console.update(_progress(agent_steps=2_500_000))
    console.close()
    assert "\x1b[33magent" not in terminal.getvalue()
    screen = _render(terminal.getvalue())
    assert screen[0] == "warning: slow disk"
    assert "".join(screen).count("agent steps") == "".join(screen).count("learn 42%") == 1


def _render(output: str) -> list[str]:
    """What a terminal would show: understands line breaks, erase line and cursor up."""
    lines, row = [""], 0
    position = 0
    while position < len(output):
        character = output[position]
        if character == "\x1b":
            end = next(i for i in range(position + 2, len(output)) if output[i].isalpha())
            code = output[position + 2 : end + 1]
            if code.endswith("K"):
                lines[row] = ""
            elif code.endswith("A"):
                row -= int(code[:-1] or 1)
            position = end + 1
            continue
        if character == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif character != "\r":
            lines[row] += character
        position += 1
    return [line.rstrip() for line in lines]


def test_a_dumb_terminal_counts_as_a_log_file(
    terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert not Console(terminal).is_terminal


def test_closing_twice_or_unused_is_harmless(terminal: _Terminal) -> None:
    console = Console(terminal)
    console.close()
    console.update(_progress())
    console.close()
    console.close()
