"""Play whole games with a fixed policy and report the game's own scores."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable

import torch

from accel.envs.batch import EnvRecipe
from accel.models import ActorCritic
from accel.policies import CategoricalPolicy
from accel.sampling.build import build_sampler
from accel.types import EnvSpec, Episode

# Global indices from here on are never used in training, so evaluation games are fresh.
FIRST_EVALUATION_INDEX = 1 << 20
# A round beyond those of any training: these games have not chosen the best checkpoint either.
FRESH_ROUND = 1 << 24
_ROLLOUT_LENGTH = 64  # steps between looks at how many games are over


def evaluate(
    model: ActorCritic,
    recipe: EnvRecipe,
    spec: EnvSpec,
    *,
    num_episodes: int,
    seed: int,
    round_index: int = 0,
    greedy: bool = False,
    max_envs: int = 16,
    num_workers: int = 0,
    timeout_s: float = 10.0,
    device: torch.device | str = "cpu",
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Episode]:
    """Play `num_episodes` whole games; nothing ends on a lost life and no reward is clipped.

    Every environment plays the same number of games (the last round of them may be one short), so
    that short games are not counted more often than long ones.

    Args:
        seed: games depend on it and on `round_index` (which evaluation of a run this is) alone.
        greedy: take the most probable action instead of sampling.
        max_envs: games played side by side, at most.
        num_workers: worker processes, reduced to a number that shares the games evenly; 0: none.
        timeout_s: longest wait for one step of the workers.
        should_stop: looked at every 64 steps; once true, the games are left and none returned.
    """
    num_envs = min(num_episodes, max_envs)
    games_each = math.ceil(num_episodes / num_envs)
    workers = max((n for n in range(1, num_workers + 1) if num_envs % n == 0), default=0)
    sampler = build_sampler(
        recipe,
        spec,
        CategoricalPolicy(model, greedy=greedy),
        num_envs=num_envs,
        rollout_length=_ROLLOUT_LENGTH,
        seed=seed,
        num_workers=workers,
        first_index=FIRST_EVALUATION_INDEX + round_index * max_envs,
        timeout_s=timeout_s,
        device=device,
    )
    played: dict[int, list[Episode]] = defaultdict(list)
    try:
        sampler.start()
        while sum(min(len(games), games_each) for games in played.values()) < num_envs * games_each:
            if should_stop():
                return []
            for episode in sampler.collect(policy_version=0)[1]:
                played[episode.env_index].append(episode)
    finally:
        sampler.close()
    rounds = [played[index][game] for game in range(games_each) for index in sorted(played)]
    return rounds[:num_episodes]
