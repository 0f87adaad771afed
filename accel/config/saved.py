"""Back from a run's manifest to the config it was run with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

from accel.config.errors import UserError
from accel.config.keys import ALGO_SCHEMAS
from accel.config.schema import AlgoConfig, Config


def config_from_dict(saved: Mapping[str, Any]) -> Config:
    """The frozen dataclasses whose `dataclasses.asdict` is `saved`.

    A key that came with a later version takes its default. Raises UserError for keys that this
    version does not have: what they asked for could not be honored.
    """
    try:
        algo = ALGO_SCHEMAS[saved["algo"]["name"]]
    except (KeyError, TypeError) as error:
        raise UserError(f"the saved config names no algorithm of this version ({error})") from error
    return _build(Config, saved, {AlgoConfig: algo})


def _build(schema: type, values: Mapping[str, Any], chosen: Mapping[type, type]) -> Any:
    """An instance of `schema` and the dataclasses in it; `chosen` maps a base to what is meant."""
    hints = get_type_hints(schema)
    foreign = ", ".join(sorted(set(values) - set(hints)))
    if foreign:
        raise UserError(f"the saved config has keys unknown to this version: {foreign}")
    arguments = {}
    for name, value in values.items():
        part = chosen.get(hints[name], hints[name])
        arguments[name] = _build(part, value, chosen) if dataclasses.is_dataclass(part) else value
    try:
        return schema(**arguments)
    except TypeError as error:  # a required key is not there
        raise UserError(f"the saved config is incomplete: {error}") from error
