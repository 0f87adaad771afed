"""Mistakes a user can mend: reported in plain words and exit code 2, never with a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class UserError(Exception):
    """Base of every error whose message is written for the person who typed the command."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a config."""

    key: str  # dotted path as typed on the command line, e.g. "sampler.num_envs"
    value: object  # None where the message should not repeat it
    rule: str  # what must hold
    fix: str  # what to type instead
    arithmetic: str = ""  # the numbers that show the rule broken
    severity: str = "error"  # "warning": reported, but the run starts

    def __str__(self) -> str:
        lines = [self.key if self.value is None else f"{self.key}={_as_typed(self.value)}"]
        lines.append(f"    rule     {self.rule}")
        if self.arithmetic:
            lines.append(f"    numbers  {self.arithmetic}")
        lines.append(f"    fix      {self.fix}")
        return "\n".join(lines)


class ConfigError(UserError):
    """All problems of one config, together."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        texts = [
            f"warning: {problem}" if problem.severity == "warning" else str(problem)
            for problem in problems
        ]
        super().__init__("\n".join([f"The config has {count}:", *texts]))


def _as_typed(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
