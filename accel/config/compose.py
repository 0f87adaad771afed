"""Between Hydra and the schema: registration before composing, dataclasses after.

OmegaConf makes nodes of frozen dataclasses read-only, which Hydra's own overrides then trip over.
So the registered nodes are writable, and freezing happens where it matters: in `to_config`.
"""

from __future__ import annotations

import dataclasses
from typing import TypeVar, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from accel.config.commands import EvaluateConfig, PlayConfig, PlotConfig
from accel.config.errors import ConfigError, Problem
from accel.config.keys import unknown_key
from accel.config.schema import (
    A2CConfig,
    Config,
    DQNConfig,
    EnvConfig,
    HardwareConfig,
    IMPALAConfig,
    ModelConfig,
    PPOConfig,
    PQNConfig,
    R2D2Config,
    SamplerConfig,
)

Schema = TypeVar("Schema")

_NODES: tuple[tuple[str | None, str, type], ...] = (
    (None, "base_config", Config),
    (None, "base_evaluate", EvaluateConfig),
    (None, "base_play", PlayConfig),
    (None, "base_plot", PlotConfig),
    ("env", "base_env", EnvConfig),
    ("algo", "base_ppo", PPOConfig),
    ("algo", "base_a2c", A2CConfig),
    ("algo", "base_impala", IMPALAConfig),
    ("algo", "base_pqn", PQNConfig),
    ("algo", "base_dqn", DQNConfig),
    ("algo", "base_r2d2", R2D2Config),
    ("model", "base_model", ModelConfig),
    ("sampler", "base_sampler", SamplerConfig),
    ("hardware", "base_hardware", HardwareConfig),
)


def register_schema() -> None:
    """Store the `base_*` nodes that the yaml files name first in their defaults."""
    store = ConfigStore.instance()
    for group, name, schema in _NODES:
        store.store(group=group, name=name, node=writable(schema), provider="accel")


def to_config(composed: DictConfig, schema: type[Schema] = Config) -> Schema:
    """Frozen dataclasses from a composed config.

    Raises ConfigError for keys added with `+`, values missing and interpolations that lead nowhere.
    """
    unknown = _added_keys(composed, schema)
    if unknown:
        raise ConfigError(unknown)
    try:
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise ConfigError([explain(error, schema)]) from error
    if not isinstance(config, schema):
        raise TypeError(f"the yaml file composed from does not name the schema {schema.__name__}")
    return config


def writable(schema: type) -> DictConfig:
    """A node to register for a dataclass, open to Hydra's overrides even if it is frozen."""
    node = OmegaConf.structured(schema)
    OmegaConf.set_readonly(node, False)
    for name, hint in get_type_hints(schema).items():
        if dataclasses.is_dataclass(hint):
            node[name] = writable(hint)
    return node


def explain(error: OmegaConfBaseException, schema: type = Config) -> Problem:
    """What an OmegaConf error says, without its internals."""
    key = error.full_key or "config"
    if isinstance(error, (ConfigKeyError, ConfigAttributeError)):
        return unknown_key(key, None, schema)
    if isinstance(error, MissingMandatoryValue) and error.key is not None:
        return Problem(str(error.key), None, "must be given, it is missing", f"{error.key}=...")
    return Problem(key, None, str(error).splitlines()[0], "--cfg job shows the whole config")


def _added_keys(composed: DictConfig, schema: type, prefix: str = "") -> list[Problem]:
    """Keys that `+key=value` put past the command's `schema`."""
    fields = {field.name for field in dataclasses.fields(OmegaConf.get_type(composed))}
    found = []
    for name in composed:
        key = f"{prefix}{name}"
        if name not in fields:
            found.append(unknown_key(key, OmegaConf.select(composed, str(name)), schema))
        elif OmegaConf.is_dict(composed._get_node(name)):
            found += _added_keys(composed[name], schema, f"{key}.")
    return found
