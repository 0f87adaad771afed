"""Paths on the command line reach Hydra as they were typed."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from accel.runners.path_words import quote_paths


def parsed(word: str) -> object:
    (override,) = OverridesParser.create().parse_overrides(quote_paths([word]))
    assert not override.is_sweep_override()
    return override.value()


@pytest.mark.parametrize(
    "path",
    [
        "results/runs/pong/seed0",
        "a/learning_rate=0.1,model=x/seed0",
        "~/a b",
        "a[1]",
        "it's",
        "(x)",
    ],
)
def test_a_path_is_taken_as_it_stands(path: str) -> None:
    for key in ("run", "output", "checkpoint", "run_dir", "fork"):
        assert parsed(f"{key}={path}") == path
    assert parsed(f"runs={path}") == [path]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("runs=[a/*,b/lr=1/seed?]", ["a/*", "b/lr=1/seed?"]),
        ("runs=['a,b/*', c=1]", ["a,b/*", "c=1"]),
        ("runs=x,y=1/seed0", ["x,y=1/seed0"]),
        ("run='quoted, already'", "quoted, already"),
        ("checkpoint=null", None),
    ],
)
def test_lists_and_quotes(typed: str, meant: object) -> None:
    assert parsed(typed) == meant


def test_other_words_and_sweeps_stay_as_they_are() -> None:
    words = ["-m", "run_dir=a,b", "algo.learning_rate=1e-3", "--help", "run="]
    assert quote_paths(words) == words
