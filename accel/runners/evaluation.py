"""Play whole games with a fixed policy and report the game's own scores."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable

import torch

from accel.envs.batch import EnvRecipe
from accel.learning.sync import Alone
from accel.sampling.build import build_sampler
from accel.sampling.layout import enough_workers
from accel.sampling.sampler import Policy, Sampler
from accel.types import EnvSpec, Episode

# Global indices from here on are never used in training, so evaluation games are fresh.
FIRST_EVALUATION_INDEX = 1 << 20
# A round beyond those of any training: these games have not chosen the best checkpoint either.
FRESH_ROUND = 1 << 24
_ROLLOUT_LENGTH = 64  # steps between looks at how many games are over


def evaluate(
    policy: Policy,
    recipe: EnvRecipe,
    spec: EnvSpec,
    *,
    num_episodes: int,
    seed: int,
    round_index: int = 0,
    max_envs: int = 16,
    num_workers: int = 0,
    timeout_s: float = 10.0,
    device: torch.device | str = "cpu",
    team: Alone | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Episode]:
    """Play `num_episodes` whole games; nothing ends on a lost life and no reward is clipped.

    Every environment plays the same number of games (the last round of them may be one short), so
    that short games are not counted more often than long ones.

    Args:
        seed: games depend on it and on `round_index` (which evaluation of a run this is) alone.
        max_envs: games played side by side, at most.
        num_workers: worker processes, less where fewer are as fast; 0: none.
        timeout_s: longest wait for one step of the workers.
        team: ranks that share the games; each returns all of them. Not given: this one plays all.
        should_stop: looked at every 64 steps; once true, the games are left and none returned.
    """
    team = Alone() if team is None else team
    rank, size = team.ranks.rank, team.ranks.size
    num_envs = min(num_episodes, max_envs)
    games_each = math.ceil(num_episodes / num_envs)
    ours = range(num_envs * rank // size, num_envs * (rank + 1) // size)
    played: dict[int, list[Episode]] | None = {}
    if ours:
        workers = enough_workers(len(ours), num_workers) if num_workers else 0
        sampler = build_sampler(
            recipe,
            spec,
            policy,
            num_envs=len(ours),
            rollout_length=_ROLLOUT_LENGTH,
            seed=seed,
            num_workers=workers,
            first_index=FIRST_EVALUATION_INDEX + round_index * max_envs + ours.start,
            timeout_s=timeout_s,
            device=device,
        )
        try:
            played = _play(sampler, len(ours), games_each, should_stop)
        finally:
            sampler.close()
    parts = team.gather(played)
    if None in parts:
        return []
    by_index = {index: games for part in parts for index, games in part.items()}
    rounds = [by_index[index][game] for game in range(games_each) for index in sorted(by_index)]
    return rounds[:num_episodes]


def _play(
    sampler: Sampler, num_envs: int, games_each: int, should_stop: Callable[[], bool]
) -> dict[int, list[Episode]] | None:
    """The first `games_each` games of each environment by its index; None if asked to stop."""
    played: dict[int, list[Episode]] = defaultdict(list)
    sampler.start()
    while sum(min(len(games), games_each) for games in played.values()) < num_envs * games_each:
        if should_stop():
            return None
        for episode in sampler.collect(policy_version=0)[1]:
            played[episode.env_index].append(episode)
    return dict(played)
