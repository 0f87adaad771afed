"""Evaluate a trained agent: whole games on fresh seeds, a table for people, json for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rich.console
import torch
from rich import box
from rich.table import Table

from accel.config.commands import EvaluateConfig
from accel.config.machine import Machine
from accel.config.schema import QConfig
from accel.runners import build
from accel.runners.evaluation import FRESH_ROUND, evaluate
from accel.runners.scores import Scores
from accel.runners.trained import TrainedAgent, load_agent
from accel.runs.atomic import write_atomically
from accel.runs.code_state import record_code_state
from accel.runs.manifest import utc_now
from accel.types import Episode

FORMAT = 1


def evaluate_run(config: EvaluateConfig) -> Path:
    """Play `config.episodes` games for each way of choosing actions; return the json's path.

    All play the same games: equal seeds, none of which training or its evaluations ever used.
    Raises RunFolderError or UserError where the run cannot be evaluated.
    """
    run = Path(config.run).expanduser()
    agent = load_agent(run, config.checkpoint, config.device)
    console = rich.console.Console(markup=False, highlight=False)
    console.print(_headline(agent), soft_wrap=True)
    played = {}
    for mode, greedy in _modes(agent).items():
        console.print(f"playing {config.episodes} games with {mode} actions ...")
        played[mode] = _play(agent, config, greedy)
    console.print(_table(agent, played))
    path = run / f"eval_{agent.agent_steps}.json"
    report = _report(agent, config, run, played)
    write_atomically(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    console.print(f"written: {path}", soft_wrap=True)
    return path


def _modes(agent: TrainedAgent) -> dict[str, bool]:
    """The names of the ways to choose actions, and whether it is greedily."""
    algo = agent.config.algo
    if not isinstance(algo, QConfig):
        return {"sampled": False, "greedy": True}
    return {"exploring": False, "greedy": True} if algo.epsilon_eval else {"greedy": True}


def _play(agent: TrainedAgent, config: EvaluateConfig, greedy: bool) -> list[Episode]:
    cores = Machine.detect("cpu").cores
    num_workers = cores if config.num_workers is None else config.num_workers
    if num_workers:
        torch.set_num_threads(max(1, cores - num_workers))  # the workers need the rest
    return evaluate(
        build.evaluation_policy(agent.config, agent.model, greedy),
        agent.recipe,
        agent.spec,
        num_episodes=config.episodes,
        seed=_seed(agent, config),
        round_index=FRESH_ROUND,
        max_envs=config.max_envs,
        num_workers=num_workers,
        timeout_s=agent.config.sampler.timeout_s,
        device=agent.device,
    )


def _seed(agent: TrainedAgent, config: EvaluateConfig) -> int:
    return agent.config.seed if config.seed is None else config.seed


def _headline(agent: TrainedAgent) -> str:
    frames = agent.agent_steps * agent.spec.frame_skip
    return (
        f"{agent.config.algo.name} on {agent.config.env.game} after {agent.agent_steps:,} agent "
        f"steps ({frames:,} frames)\nprotocol {agent.protocol}; whole games, raw scores"
    )


def _table(agent: TrainedAgent, played: dict[str, list[Episode]]) -> Table:
    table = Table(box=box.SIMPLE, title="episodic return", title_justify="left")
    table.add_column("actions")
    for name in ("games", "mean", "std", "median", "min", "max", "human-\nnormalized", "length"):
        table.add_column(name, justify="right")
    for mode, episodes in played.items():
        scores = Scores.of(episodes, agent.config.env)
        normalized = scores.human_normalized
        table.add_row(
            mode,
            str(len(episodes)),
            *(f"{value:,.1f}" for value in (scores.mean, scores.std, scores.median)),
            *(f"{value:,.10g}" for value in (scores.min, scores.max)),
            "-" if normalized is None else f"{normalized:.1%}",
            f"{scores.mean_length:,.0f}",
        )
    return table


def _report(
    agent: TrainedAgent, config: EvaluateConfig, run: Path, played: dict[str, list[Episode]]
) -> dict[str, Any]:
    """Everything needed to judge and to repeat the evaluation, as JSON values."""
    return {
        "format": FORMAT,
        "created": utc_now(),
        "command": sys.argv,
        "run": str(run),
        "checkpoint": str(agent.checkpoint),
        "agent_steps": agent.agent_steps,
        "frames": agent.agent_steps * agent.spec.frame_skip,
        "game": agent.config.env.game,
        "protocol": agent.protocol,
        "env": dataclasses.asdict(agent.config.env),
        "seed": _seed(agent, config),
        "max_envs": config.max_envs,
        "device": str(agent.device),
        "precision": agent.precision,
        "code": record_code_state(Path(__file__).parent),
        **{mode: _scores(agent, episodes) for mode, episodes in played.items()},
    }


def _scores(agent: TrainedAgent, episodes: Sequence[Episode]) -> dict[str, Any]:
    return {
        "episodes": len(episodes),
        **dataclasses.asdict(Scores.of(episodes, agent.config.env)),
        "episodic_return": [episode.episodic_return for episode in episodes],
        "episodic_length": [episode.episodic_length for episode in episodes],
    }
