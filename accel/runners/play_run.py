"""Film a trained agent playing one whole game."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import rich.console

from accel.config.commands import PlayConfig
from accel.config.errors import UserError
from accel.envs.batch import Env, EnvRecipe
from accel.envs.games import resolve_game
from accel.envs.pictures import UnwatchableEnvironment
from accel.runners import build
from accel.runners.evaluation import FIRST_EVALUATION_INDEX, FRESH_ROUND
from accel.runners.film import Film
from accel.runners.trained import TrainedAgent, load_agent
from accel.sampling.build import build_sampler
from accel.sampling.sampler import Sampler


def play_run(config: PlayConfig) -> Path:
    """Play one game, every emulated screen of it filmed, and return the video's path.

    Raises RunFolderError or UserError where there is no agent to load or nothing to film.
    """
    run = Path(config.run).expanduser()
    agent = load_agent(run, config.checkpoint, config.device)
    output = Path(config.output).expanduser() if config.output else None
    film = Film(output.parent if output else run / "videos", config.max_frames)
    try:
        episodic_return, is_whole = _film_game(agent, config, film)
        path = output or run / "videos" / f"{_game_name(agent)}_{episodic_return:g}.mp4"
        film.finish(path)
    finally:
        film.discard()
    seconds = film.num_frames / film.pictures_per_second
    ending = "a whole game" if is_whole else f"left after max_frames={config.max_frames} frames"
    rich.console.Console(markup=False, highlight=False).print(
        f"{path}: episodic return {episodic_return:g}, {ending}, {seconds:,.0f} s "
        f"({agent.config.algo.name} after {agent.agent_steps:,} agent steps, {agent.protocol})",
        soft_wrap=True,
    )
    return path


@dataclass(frozen=True, kw_only=True)
class _WatchedRecipe(EnvRecipe):
    """Builds an environment that shows its screens to a film."""

    film: Film

    def build(self, seed: int) -> Env:
        env = super().build(seed)
        self.film.pictures_per_second = env.watch(self.film.add)
        return env


def _film_game(agent: TrainedAgent, config: PlayConfig, film: Film) -> tuple[float, bool]:
    """The game's return so far, and whether it was played to its end."""
    try:
        sampler = _build_sampler(agent, config, film)
    except UnwatchableEnvironment as error:
        raise UserError(str(error)) from error
    episodic_return = 0.0
    try:
        sampler.start()
        while not film.is_full:
            rollout, episodes = sampler.collect(policy_version=0)
            episodic_return += float(rollout.rewards.sum())
            if episodes:
                return episodes[0].episodic_return, True
    finally:
        sampler.close()
    return episodic_return, False


def _build_sampler(agent: TrainedAgent, config: PlayConfig, film: Film) -> Sampler:
    """One environment in this process, looked at after every agent step."""
    return build_sampler(
        _WatchedRecipe(**vars(agent.recipe), film=film),
        agent.spec,
        build.evaluation_policy(agent.config, agent.model, config.greedy),
        num_envs=1,
        rollout_length=1,
        seed=agent.config.seed if config.seed is None else config.seed,
        first_index=FIRST_EVALUATION_INDEX + FRESH_ROUND,
        device=agent.device,
    )


def _game_name(agent: TrainedAgent) -> str:
    env = agent.config.env
    name = resolve_game(env.game) if env.kind == "atari" else env.game
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)
