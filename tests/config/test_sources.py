"""Every number of an algorithm's yaml says where it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from accel.runners.cli import CONFIGS

# Papers by their authors and year; a paper's table or section, which the head of the file names;
# code bases by name; another key or file that says it; a choice of ours, or what we measured.
SOURCES = (
    r"\b20\d\d[a-z]?\b|\b[Tt]able |\bsection |\b[Tt]he (paper|authors)\b|accel_rl|rlpyt|baselines"
    r"|CleanRL|Dopamine|dqn_zoo|purejaxql|SEED RL|Acme|\bas [a-z]|\b[Oo]urs\b|\bsteps/s on \d"
)
NUMBER = re.compile(r"^ +\w+: +[-+]?[\d_.]+(e[-+]?\d+)? *(#.*)?$")


def numbers(text: str) -> Iterator[tuple[str, str]]:
    """Each line that sets a number, with its comment: at its end, or in the lines right above."""
    above = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            above = f"{above} {line.lstrip(' #')}".strip()
            continue
        if NUMBER.match(line):
            yield line.strip(), line.partition("#")[2].strip() or above
        above = ""


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("algo/*.yaml")), ids=lambda path: path.stem)
def test_each_number_has_its_source_beside_it(path: Path) -> None:
    bare = [line for line, said in numbers(path.read_text()) if not re.search(SOURCES, said)]
    assert bare == []


def test_what_counts_as_a_number_and_as_its_source() -> None:
    text = """
# Mnih et al. 2015: of the whole file, not of a number
defaults:
  - dqn

algo:
  name: c51
  double: true
  learning_rate: 2.5e-4
  v_min: -10.0  # Bellemare et al. 2017
  # The paper's code: every
  # so many agent steps.
  target_interval_agent_steps: 10_000
  num_atoms: 51  # more is better
  n_step: 1
"""
    found = dict(numbers(text))
    assert found == {
        "learning_rate: 2.5e-4": "",
        "v_min: -10.0  # Bellemare et al. 2017": "Bellemare et al. 2017",
        "target_interval_agent_steps: 10_000": "The paper's code: every so many agent steps.",
        "num_atoms: 51  # more is better": "more is better",
        "n_step: 1": "",
    }
    sourced = [bool(re.search(SOURCES, said)) for said in found.values()]
    assert sourced == [False, True, True, False, False]


def test_every_algorithm_has_numbers_to_check() -> None:
    counts = [len(list(numbers(path.read_text()))) for path in CONFIGS.glob("algo/*.yaml")]
    assert len(counts) >= 14 and sum(counts) > 100
