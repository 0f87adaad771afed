"""Options that several benchmarks have, and the words they take."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from accel.envs.games import UnknownGame, resolve_game


def add_rounds(parser: argparse.ArgumentParser, seconds: float, repeats: int) -> None:
    """How long and how often to measure, and who has the rivals."""
    parser.add_argument("--seconds", type=float, default=seconds, help="per round (%(default)s)")
    parser.add_argument("--repeats", type=count, default=repeats, help="rounds (%(default)s)")
    parser.add_argument(
        "--rival-python",
        type=program,
        default=sys.executable,
        help="interpreter that has the rivals",
    )


def add_clock(parser: argparse.ArgumentParser, what: str) -> None:
    """Which seconds count."""
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help=what)


def add_games(parser: argparse.ArgumentParser, games: list[str]) -> None:
    """Which games to measure."""
    parser.add_argument("--games", nargs="+", type=game, default=games, help="any spelling")


def add_output(parser: argparse.ArgumentParser) -> None:
    """Where to write the result."""
    parser.add_argument("--output", type=Path, help="write OUTPUT.md and OUTPUT.json")


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number from 1 on")
    return int(text)


def program(path: str) -> str:
    """A program that can be run."""
    if shutil.which(path) is None:
        raise argparse.ArgumentTypeError(f"{path}: no such program")
    return path


def folder(path: str) -> str:
    """A folder that is there, as an absolute path."""
    if not Path(path).is_dir():
        raise argparse.ArgumentTypeError(f"{path}: no such folder")
    return str(Path(path).resolve())


def game(name: str) -> str:
    """A game's name, in any spelling."""
    try:
        return resolve_game(name)
    except UnknownGame as error:
        raise argparse.ArgumentTypeError(str(error)) from error
