"""Between Hydra and the schema: registration before composing, dataclasses after.

OmegaConf makes nodes of frozen dataclasses read-only, which Hydra's own overrides then trip over.
So the registered nodes are writable, and freezing happens where it matters: in `to_config`.
"""

from __future__ import annotations

import dataclasses
from typing import get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from accel.config.errors import ConfigError, Problem
from accel.config.keys import unknown_key
from accel.config.schema import (
    A2CConfig,
    Config,
    EnvConfig,
    HardwareConfig,
    ModelConfig,
    PPOConfig,
    SamplerConfig,
)

_NODES: tuple[tuple[str | None, str, type], ...] = (
    (None, "base_config", Config),
    ("env", "base_env", EnvConfig),
    ("algo", "base_ppo", PPOConfig),
    ("algo", "base_a2c", A2CConfig),
    ("model", "base_model", ModelConfig),
    ("sampler", "base_sampler", SamplerConfig),
    ("hardware", "base_hardware", HardwareConfig),
)


def register_schema() -> None:
    """Store the `base_*` nodes that the yaml files name first in their defaults."""
    store = ConfigStore.instance()
    for group, name, schema in _NODES:
        store.store(group=group, name=name, node=_writable(schema), provider="accel")


def to_config(composed: DictConfig) -> Config:
    """Frozen dataclasses from a composed config.

    Raises ConfigError for keys added with `+`, values missing and interpolations that lead nowhere.
    """
    unknown = _added_keys(composed)
    if unknown:
        raise ConfigError(unknown)
    try:
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise ConfigError([explain(error)]) from error
    if not isinstance(config, Config):
        raise TypeError("compose from configs/train.yaml: the config lacks the schema base_config")
    return config


def explain(error: OmegaConfBaseException) -> Problem:
    """What an OmegaConf error says, without its internals."""
    key = error.full_key or "config"
    if isinstance(error, (ConfigKeyError, ConfigAttributeError)):
        return unknown_key(key, None)
    return Problem(key, None, str(error).splitlines()[0], "--cfg job shows the whole config")


def _writable(schema: type) -> DictConfig:
    node = OmegaConf.structured(schema)
    OmegaConf.set_readonly(node, False)
    for name, hint in get_type_hints(schema).items():
        if dataclasses.is_dataclass(hint):
            node[name] = _writable(hint)
    return node


def _added_keys(composed: DictConfig, prefix: str = "") -> list[Problem]:
    """Keys that `+key=value` put past the schema."""
    schema = OmegaConf.get_type(composed)
    fields = {field.name for field in dataclasses.fields(schema)}
    found = []
    for name in composed:
        key = f"{prefix}{name}"
        if name not in fields:
            found.append(unknown_key(key, OmegaConf.select(composed, str(name))))
        elif OmegaConf.is_config(composed._get_node(name)):
            found += _added_keys(composed[name], f"{key}.")
    return found
