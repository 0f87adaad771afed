"""Explains command line words that Hydra refuses: all of them at once, with what was meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from accel.config.errors import Problem
from accel.config.keys import close_keys, did_you_mean, known_keys, unknown_key, wrong_type


def explain_dashes(words: Sequence[str], configs: Path) -> list[Problem]:
    """Problems of settings written like options: --seed=1 or --algo ppo.

    `configs` is the folder whose subfolders are the config groups.
    """
    problems = []
    for word in words:
        key, _, value = word.lstrip("-").partition("=")
        if word.startswith("-") and (key in known_keys() or key in _groups(configs)):
            fix = f"{key}={value or '...'}"
            problems.append(Problem(word, None, "settings are written without dashes", fix))
    return problems


def explain_overrides(words: Sequence[str], configs: Path) -> list[Problem]:
    """Problems of the overrides among command line `words`; empty if none is recognized."""
    explained = [_explain(word, configs) for word in words if not word.startswith("-")]
    return [problem for problem in explained if problem is not None]


def _explain(word: str, configs: Path) -> Problem | None:
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
    except HydraException:
        return _not_a_setting(word, configs)
    key = override.get_key_element().lstrip("+~")
    if override.is_hydra_override() or override.is_delete():
        return None
    if key in known_keys():
        return None if override.is_sweep_override() else wrong_type(key, override.value())
    if key in _groups(configs):
        return _unknown_option(key, override, configs)
    return unknown_key(key, override.get_value_element_as_str())


def _not_a_setting(word: str, configs: Path) -> Problem:
    key, equals, value = word.partition("=")
    if equals:
        if key in known_keys() and (problem := wrong_type(key, value)) is not None:
            return problem
        rule = "must follow Hydra's grammar for values"
        return Problem(key, value, rule, f"quote it twice for the shell: '{key}=\"{value}\"'")
    close = did_you_mean(word, _groups(configs)) + close_keys(word)
    fix = " or ".join(f"{name}=..." for name in close) or f"env.game={word}"
    return Problem(word, None, "settings are written key=value", fix)


def _unknown_option(group: str, override: Override, configs: Path) -> Problem | None:
    options = sorted(path.stem for path in (configs / group).glob("*.yaml"))
    value = override.get_value_element_as_str()
    if override.is_sweep_override() or value in (*options, "null"):
        return None
    close = did_you_mean(value, options) or options
    fix = " or ".join(f"{group}={option}" for option in close)
    return Problem(group, value, f"must be one of {', '.join(options)}", fix)


def _groups(configs: Path) -> list[str]:
    return [path.name for path in configs.iterdir() if path.is_dir()]
