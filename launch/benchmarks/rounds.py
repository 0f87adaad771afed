"""Contenders in turn: short rounds, back and forth, so that whatever else runs hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from benchmarks.contender import Contender
from benchmarks.parts import Parts, Values


@dataclass(frozen=True)
class Team:
    """Contenders that run at the same time, against other teams."""

    name: str  # what the names of its parts begin with
    about: Values  # told with each of its rounds
    openers: Sequence[Callable[[], Contender]]  # each starts a member
    describe: Callable[[Contender], Values] = lambda contender: {}  # once it is ready


def alternate(teams: Sequence[Team], repeats: int, seconds: float, parts: Parts) -> None:
    """Time the teams in turn. A team that has all its rounds already is not opened."""
    with ExitStack() as stack:
        ready: dict[str, list[Contender]] = {}
        for team in teams:
            if all(_round(team.name, repeat) in parts.results for repeat in range(repeats)):
                continue
            members = [stack.enter_context(opener()) for opener in team.openers]
            first = members[0]
            about = team.about | {"missing": first.missing, "versions": first.versions}
            parts.keep(_opened(team.name), about | team.describe(first))
            if not first.missing:
                ready[team.name] = members
        for repeat in range(repeats):
            for team in teams if repeat % 2 == 0 else reversed(teams):
                if team.name in ready:
                    measure = partial(_time, team, ready[team.name], seconds)
                    parts.take(_round(team.name, repeat), measure)


def opened(name: str, parts: Parts) -> Values:
    """What is known of a team's first member: "missing", "versions"; empty before it was opened."""
    return parts.results.get(_opened(name), {})


def times_of(name: str, repeats: int, parts: Parts) -> list[list[Values]]:
    """Of each round of a team so far, what each member did."""
    names = [_round(name, repeat) for repeat in range(repeats)]
    return [parts.results[it]["members"] for it in names if it in parts.results]


def _time(team: Team, members: Sequence[Contender], seconds: float) -> Values:
    for member in members:
        member.start(seconds)
    return team.about | {"members": [member.finish(seconds) for member in members]}


def _round(name: str, repeat: int) -> str:
    return f"{name}, round {repeat}"


def _opened(name: str) -> str:
    return f"{name}, opened"
