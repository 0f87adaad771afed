"""A trained agent, put together again from its run folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from accel.config.derive import derive
from accel.config.describe import game_protocol
from accel.config.errors import UserError
from accel.config.machine import Machine
from accel.config.saved import config_from_dict
from accel.config.schema import Config, HardwareConfig
from accel.envs.batch import EnvRecipe
from accel.learning import resolve_precision
from accel.learning.flat import FlatParameters
from accel.models import Network
from accel.runners import build
from accel.runs.checkpoint import load_checkpoint
from accel.runs.reading import find_checkpoint, read_manifest
from accel.sampling.stepping import probe_spec
from accel.types import EnvSpec


@dataclass(frozen=True)
class TrainedAgent:
    """A policy's network with the weights of a checkpoint, and the game it was trained on."""

    config: Config
    recipe: EnvRecipe
    spec: EnvSpec
    model: Network  # on `device`, in the precision that training used there
    device: torch.device
    precision: str
    protocol: str  # what must be said beside every score
    checkpoint: Path
    agent_steps: int


def load_agent(run: Path, checkpoint: str = "last", device: str = "auto") -> TrainedAgent:
    """Rebuild the network from the manifest's config and load a checkpoint's weights into it.

    Args:
        checkpoint: "last", "best" or a file's path.
        device: auto, cpu, cuda or cuda:N; where the run trained does not matter.

    Raises:
        RunFolderError, UserError: no run, no checkpoint, or of a version that this one cannot read.
    """
    manifest = read_manifest(run)
    path, agent_steps = find_checkpoint(run, checkpoint)
    saved = config_from_dict(manifest.data["config"])
    config = replace(saved, device=device, hardware=HardwareConfig())
    derived = derive(config, Machine.detect(device))
    recipe = build.env_recipe(config, derived)
    spec = probe_spec(recipe)
    torch_device = torch.device(derived.device)
    precision, _ = resolve_precision(config.precision, torch_device)
    model = build.network(config, spec)
    weights = load_checkpoint(path)["learner"]["model"]
    try:
        FlatParameters(model, torch_device, precision).load_state_dict(weights)
    except (ValueError, RuntimeError) as error:  # other names or shapes
        raise UserError(f"{path} does not fit the network of {run}: {error}") from error
    protocol = game_protocol(config.env)
    return TrainedAgent(
        config, recipe, spec, model, torch_device, precision, protocol, path, agent_steps
    )
