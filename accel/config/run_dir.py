"""Where a run's results land: a folder named by what was asked for, never by the time of day.

The same command must find its folder again to continue the run, and different runs must not share
one. So the name is made of the overrides that change what is learned.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from accel.config.keys import known_keys
from accel.config.schema import Config

# Where the run goes, what it is called already, and what does not change the numbers it computes.
_NEVER_NAMED = ("experiment", "seed", "run_dir", "results_root", "resume", "overwrite", "fork")
_NOT_LEARNED = (
    "device",
    "total_agent_steps",  # a longer run continues a shorter one
    "stop_at_return",
    "log_interval_s",
    "checkpoint_interval_s",
    "keep_checkpoints",
    "eval_interval_agent_steps",
    "eval_episodes",
    "profile",
    "env.frames",
    "hardware",
    "hardware.learner_threads",
    "hardware.actor_threads",
    "hardware.cuda_graphs",
    "sampler",
    "sampler.kind",
    "sampler.num_workers",
    "sampler.num_groups",
    "sampler.timeout_s",
)
_LONGEST_PART = 200  # bytes; file systems allow 255


def run_dir(
    config: Config,
    experiment: str | None = None,
    overrides: Sequence[str] = (),
    swept: Collection[str] = (),
) -> str:
    """`results_root/<experiment, or algo_game>/<other overrides>/seed<seed>`.

    `overrides` are command line words such as "algo.learning_rate=1e-3"; `swept` are the keys that
    a sweep varies, which always name the folder. A `run_dir` that the user set is kept.
    """
    if config.run_dir != "auto":
        return config.run_dir
    hidden = {*_NEVER_NAMED, *(key for key in _NOT_LEARNED if key not in swept)}
    if experiment is None:
        name = f"{config.algo.name}_{_game_name(config)}"
        hidden |= {"algo", "algo.name", "env", "env.kind", "env.game"}
    else:
        name = experiment
    named = {} if config.fork is None else {"fork": _fork_name(config)}
    parts = [name, _overrides_part(overrides, hidden, named), f"seed{config.seed}"]
    return str(Path(config.results_root, *(_safe(part) for part in parts if part)))


def typed_keys(words: Sequence[str]) -> set[str]:
    """The dotted keys that a command line's overrides set."""
    overrides = OverridesParser.create().parse_overrides(list(words))
    return {override.get_key_element().lstrip("+~") for override in overrides}


def swept_keys(words: Sequence[str]) -> set[str]:
    """Keys with several values among the overrides of a command line: {"seed"} for "seed=0,1"."""
    overrides = OverridesParser.create().parse_overrides(
        [word for word in words if not word.startswith("-")]
    )
    return {override.get_key_element() for override in overrides if override.is_sweep_override()}


def _game_name(config: Config) -> str:
    """One name per game however it was spelled, so that Pong and pong share a folder."""
    if config.env.kind != "atari":
        return config.env.game
    from accel.envs.games import resolve_game

    try:
        return resolve_game(config.env.game)
    except ValueError:  # reported by validate
        return config.env.game


def _fork_name(config: Config) -> str:
    """The fork without the folder of all results, which would only make the name longer."""
    return str(config.fork).removeprefix(f"{config.results_root}/")


def _overrides_part(overrides: Sequence[str], hidden: set[str], named: Mapping[str, str]) -> str:
    """`learning_rate=0.001,model=impala_cnn`: sorted by key; the last of equal keys counts.

    `named` are keys and values that belong to the name however they were given.
    """
    values = dict(named)
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.get_key_element().lstrip("+~")
        if override.is_hydra_override() or key in hidden:
            continue
        values[_short(key)] = override.get_value_element_as_str()
    return ",".join(f"{key}={values[key]}" for key in sorted(values))


def _short(key: str) -> str:
    """The last part of a dotted key where no other key ends the same."""
    leaf = key.rpartition(".")[2]
    sharing = [known for known in known_keys() if known.rpartition(".")[2] == leaf]
    return leaf if sharing == [key] else key


def _safe(part: str) -> str:
    """A valid, unambiguous folder name: what had to be replaced or cut is told apart by a hash."""
    safe = re.sub(r"[^A-Za-z0-9._+=,@-]", "_", part).lstrip(".")
    if safe == part and len(safe) <= _LONGEST_PART:
        return safe
    digest = hashlib.sha256(part.encode()).hexdigest()[:8]
    return f"{safe[:_LONGEST_PART]}-{digest}"
