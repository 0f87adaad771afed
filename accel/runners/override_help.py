"""Explains command line words that Hydra refuses: all of them at once, with what was meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from accel.config.errors import Problem
from accel.config.keys import close_keys, did_you_mean, known_keys, unknown_key, wrong_type
from accel.config.schema import Config
from accel.config.slots import LAUNCHER, PREFIX, SlotsConfig

_LAUNCHER_GROUP = "hydra/launcher"
_LAUNCHERS = ("basic", LAUNCHER)


def explain_dashes(words: Sequence[str], configs: Path, schema: type = Config) -> list[Problem]:
    """Problems of settings written like options: --seed=1 or --algo ppo.

    `configs` is the folder whose subfolders are the config groups, which training alone has;
    `schema` is the dataclass of the command's keys.
    """
    names = {*known_keys(schema), *_groups(configs, schema)}
    problems = []
    for word in words:
        key, _, value = word.lstrip("-").partition("=")
        if word.startswith("-") and key in names:
            fix = f"{key}={value or '...'}"
            problems.append(Problem(word, None, "settings are written without dashes", fix))
    return problems


def explain_overrides(words: Sequence[str], configs: Path, schema: type = Config) -> list[Problem]:
    """Problems of the overrides among command line `words`; empty if none is recognized."""
    words = [word for word in words if not word.startswith("-")]
    explained = [_explain(word, words, configs, schema) for word in words]
    return [problem for problem in explained if problem is not None]


def explain_foreign_keys(words: Sequence[str], algo: type) -> list[Problem]:
    """Problems of the overrides among `words` that the chosen algorithm's schema does not have."""
    problems, hints = [], get_type_hints(algo)
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key.startswith("algo.") and key.removeprefix("algo.") not in hints:
            problems.append(unknown_key(key, value))
    return problems


def _explain(word: str, words: Sequence[str], configs: Path, schema: type) -> Problem | None:
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
    except HydraException:
        return _not_a_setting(word, configs, schema)
    key = override.get_key_element().lstrip("+~")
    if key == _LAUNCHER_GROUP or key.startswith(PREFIX):
        return _explain_launcher(key, override, words)
    if override.is_hydra_override() or override.is_delete():
        return None
    if key in known_keys(schema):
        return None if override.is_sweep_override() else wrong_type(key, override.value(), schema)
    if key in _groups(configs, schema):
        return _unknown_option(key, override, configs)
    if key in known_keys(SlotsConfig) and schema is Config:
        rule, fix = "is a setting of the launcher", f"{PREFIX}{key}=..."
        return Problem(key, override.get_value_element_as_str(), rule, fix)
    return unknown_key(key, override.get_value_element_as_str(), schema)


def _explain_launcher(key: str, override: Override, words: Sequence[str]) -> Problem | None:
    """Problems of hydra/launcher=... and of the settings hydra.launcher.*."""
    value = override.get_value_element_as_str()
    if key == _LAUNCHER_GROUP:
        if value in _LAUNCHERS:
            return None
        rule = f"must be {' or '.join(_LAUNCHERS)}"
        return Problem(key, value, rule, f"{key}={LAUNCHER} (one run per GPU) or leave it out")
    if f"{_LAUNCHER_GROUP}={LAUNCHER}" not in words:
        rule = f"is a setting of {_LAUNCHER_GROUP}={LAUNCHER}"
        return Problem(key, value, rule, f"add -m {_LAUNCHER_GROUP}={LAUNCHER}")
    name = key.removeprefix(PREFIX)
    if name not in known_keys(SlotsConfig):
        close = close_keys(name, SlotsConfig) or known_keys(SlotsConfig)
        fix = " or ".join(f"{PREFIX}{other}=..." for other in close)
        return Problem(key, value, "no such key", fix)
    problem = wrong_type(name, override.value(), SlotsConfig)
    return problem and replace(problem, key=key, fix=f"{PREFIX}{problem.fix}")


def _not_a_setting(word: str, configs: Path, schema: type) -> Problem:
    key, equals, value = word.partition("=")
    if equals and "/" not in key:  # a path may hold an = as well
        is_known = key in known_keys(schema)
        if is_known and (problem := wrong_type(key, value, schema)) is not None:
            return problem
        rule = "must follow Hydra's grammar for values"
        return Problem(key, value, rule, f"quote it twice for the shell: '{key}=\"{value}\"'")
    close = did_you_mean(word, _groups(configs, schema)) + close_keys(word, schema)
    likeliest = "env.game" if schema is Config else next(iter(known_keys(schema)))
    fix = " or ".join(f"{name}=..." for name in close) or f"{likeliest}={word}"
    return Problem(word, None, "settings are written key=value", fix)


def _unknown_option(group: str, override: Override, configs: Path) -> Problem | None:
    options = sorted(path.stem for path in (configs / group).glob("*.yaml"))
    value = override.get_value_element_as_str()
    if override.is_sweep_override() or value in (*options, "null"):
        return None
    close = did_you_mean(value, options) or options
    fix = " or ".join(f"{group}={option}" for option in close)
    return Problem(group, value, f"must be one of {', '.join(options)}", fix)


def _groups(configs: Path, schema: type) -> list[str]:
    if schema is not Config:
        return []
    return [path.name for path in configs.iterdir() if path.is_dir()]
