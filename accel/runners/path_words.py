"""Paths on a command line, which Hydra's grammar would misread.

The folder of a run is named by its settings, such as `algo.learning_rate=0.001,seed=1`, but an
unquoted value may hold no `=`, and a comma in it asks for a sweep. Paths are meant as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_PATHS = ("run", "checkpoint", "output", "run_dir", "results_root", "fork")
_LISTS = ("runs",)
_HARMLESS = re.compile(r"[A-Za-z0-9_./*?-]+")


def quote_paths(words: Sequence[str]) -> list[str]:
    """The command line `words` with paths quoted where Hydra needs it; sweeps stay sweeps.

    A list of paths may be given as one path, without brackets.
    """
    is_sweep = "-m" in words or "--multirun" in words
    return [_quote_word(word, is_sweep) for word in words]


def _quote_word(word: str, is_sweep: bool) -> str:
    key, equals, value = word.partition("=")
    if not equals or not value or (is_sweep and "," in value):
        return word
    if key in _PATHS:
        return f"{key}={_quote(value)}"
    if key in _LISTS:
        inside = value[1:-1] if value.startswith("[") and value.endswith("]") else None
        paths = [value] if inside is None else _split(inside)
        return f"{key}=[{','.join(map(_quote, paths))}]"
    return word


def _split(paths: str) -> list[str]:
    """Cut at the commas outside quotes."""
    parts = re.findall(r"""(?:'[^']*'|"[^"]*"|[^,])+""", paths)
    return [part.strip() for part in parts if part.strip()]


def _quote(path: str) -> str:
    if path[0] in "'\"" or path == "null" or "${" in path or _HARMLESS.fullmatch(path):
        return path
    return "'" + path.replace("'", "\\'") + "'"
