"""The dotted names of all settings, their types, and what a mistyped one may have meant."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from typing import Any, get_args, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from accel.config.errors import Problem
from accel.config.schema import (
    A2CConfig,
    AlgoConfig,
    Config,
    DQNConfig,
    IMPALAConfig,
    PPOConfig,
    PQNConfig,
    R2D2Config,
)

ALGO_SCHEMAS: dict[str, type[AlgoConfig]] = {
    "ppo": PPOConfig,
    "a2c": A2CConfig,
    "impala": IMPALAConfig,
    "pqn": PQNConfig,
    **dict.fromkeys(("dqn", "c51", "qr_dqn", "iqn", "eps_rainbow", "rainbow"), DQNConfig),
    "r2d2": R2D2Config,
    "a3c": A2CConfig,
    "appo": PPOConfig,
    "async_dqn": DQNConfig,
}

# What other libraries call the same setting.
_OTHER_NAMES = {
    "lr": "algo.learning_rate",
    "gamma": "algo.discount",
    "lam": "algo.gae_lambda",
    "n_steps": "algo.rollout_length",
    "num_steps": "algo.rollout_length",
    "ent_coef": "algo.entropy_coef",
    "vf_coef": "algo.value_coef",
    "update_epochs": "algo.num_epochs",
    "clip_coef": "algo.clip_range",
    "total_timesteps": "total_agent_steps",
    "reward_threshold": "stop_at_return",
    "env_id": "env.game",
    "sticky_actions": "env.repeat_action_probability",
    "episodic_life": "env.terminal_on_life_loss",
}
_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


@cache
def known_keys(schema: type = Config) -> dict[str, Any]:
    """Each dotted key ("env.kind", "seed") with its type; `algo.*` is the union over algorithms.

    `schema` is the command's own: `Config` for training, one of `commands.py` for the others.
    """
    keys: dict[str, Any] = {}
    for name, hint in get_type_hints(schema).items():
        if not dataclasses.is_dataclass(hint):
            keys[name] = hint
            continue
        for part in ALGO_SCHEMAS.values() if hint is AlgoConfig else (hint,):
            keys |= {f"{name}.{field}": kind for field, kind in get_type_hints(part).items()}
    return keys


def close_keys(key: str, schema: type = Config) -> list[str]:
    """Up to three known keys that `key` may have meant, those of the same group first."""
    in_section = [known for known in known_keys(schema) if known.startswith(f"{key}.")]
    if in_section:  # runner=free
        return in_section[:3]
    group, _, leaf = key.rpartition(".")
    by_leaf: dict[str, list[str]] = {}
    for known in known_keys(schema):
        by_leaf.setdefault(known.rpartition(".")[2], []).append(known)
    close = [_OTHER_NAMES[leaf]] if leaf in _OTHER_NAMES and schema is Config else []
    for match in get_close_matches(leaf, by_leaf, n=3, cutoff=0.6):
        close += sorted(by_leaf[match], key=lambda known: known.rpartition(".")[0] != group)
    if not close:  # runner.lag
        close = [known for end in by_leaf if leaf in end.split("_") for known in by_leaf[end]]
    return list(dict.fromkeys(close))[:3]


def did_you_mean(value: str, options: Iterable[str]) -> list[str]:
    """Options spelled like `value`, closest first; letter case does not count."""
    by_lower = {option.lower(): option for option in options}
    return [by_lower[m] for m in get_close_matches(value.lower(), by_lower, n=3, cutoff=0.5)]


def unknown_key(key: str, value: object, schema: type = Config) -> Problem:
    """The problem of a key that the chosen groups do not have."""
    group, _, field = key.partition(".")
    if group == "algo" and schema is Config:
        owners = [name for name, part in ALGO_SCHEMAS.items() if field in get_type_hints(part)]
        if owners:
            rule = f"is a key of algo={', '.join(owners)} only"
            return Problem(key, value, rule, f"leave it out, or choose algo={owners[0]}")
    fix = " or ".join(f"{name}=..." for name in close_keys(key, schema))
    return Problem(key, value, "no such key", fix or "--cfg job lists every key")


def wrong_type(key: str, value: object, schema: type = Config) -> Problem | None:
    """The problem of a known key's value that has another type than the key."""
    hint = known_keys(schema)[key]
    single = dataclasses.make_dataclass("Single", [("value", hint)])
    try:
        OmegaConf.structured(single).value = value
    except OmegaConfBaseException:
        kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not type(None)]
        names = " or ".join(_TYPE_NAMES[kind] for kind in kinds)
        optional = ", or null" if type(None) in get_args(hint) else ""
        return Problem(key, value, f"must be {names}{optional}", f"{key}=<{names}>")
    return None
