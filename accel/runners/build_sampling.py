"""What plays for a learner, in its process or in an actor's, from a config; see `build.py`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from accel.config.derive import Derived
from accel.config.schema import Config, DQNConfig
from accel.envs.batch import EnvRecipe
from accel.learning import FlatParameters, prepare_device
from accel.models import Network
from accel.runners import build
from accel.sampling.actor_messages import ActorPlan
from accel.sampling.build import build_sampler
from accel.sampling.pinned import copy_whole
from accel.sampling.remote import RemoteSampler
from accel.sampling.sampler import Policy, Sampler
from accel.types import EnvSpec


def sampler(
    config: Config,
    derived: Derived,
    recipe: EnvRecipe,
    spec: EnvSpec,
    model: Network,
    flat: FlatParameters,
    precision: str,
    first_index: int,
) -> Sampler | RemoteSampler:
    """A learner's own sampler: its share of the environments, from `first_index` on.

    It acts with `model`, whose weights lie in `flat`, or in a process of its own with a copy.
    """
    settings = {
        "recipe": recipe,
        "spec": spec,
        "num_envs": derived.envs_per_learner,
        "rollout_length": config.algo.rollout_length,
        "seed": config.seed,
        "num_workers": derived.num_workers if config.sampler.kind == "parallel" else 0,
        "num_groups": derived.num_groups,
        "first_index": first_index,
        "decorrelation_steps": config.sampler.decorrelation_steps,
        "bootstrap_values": not isinstance(config.algo, DQNConfig),  # a replay has its own
        "timeout_s": config.sampler.timeout_s,
        "device": derived.device,
        "frames_on_device": config.env.frames == "device" and spec.screen_shape is not None,
        "cuda_graphs": derived.cuda_graphs,
        "record_spans": config.profile,
    }
    if derived.policy_lag != "0":
        return _remote_sampler(config, derived, flat, precision, settings)
    return build_sampler(policy=build.policy(config, derived, model, first_index), **settings)


def _remote_sampler(
    config: Config, derived: Derived, flat: FlatParameters, precision: str, settings: dict[str, Any]
) -> RemoteSampler:
    """A sampler in a process of its own, which acts with the weights of `flat`, a version behind.

    `settings` are the arguments of `build_sampler`.
    """
    first_index = settings["first_index"]
    acting = partial(_acting_policy, config, derived, settings["spec"], precision, first_index)

    def write_weights(weights: np.ndarray) -> None:
        copy_whole(torch.from_numpy(weights), flat.master)

    return RemoteSampler(
        ActorPlan(acting, {**settings, "slots": derived.num_slots}),
        write_weights,
        len(flat.master),
        is_free=derived.policy_lag == "free",
        agent_steps_per_rollout=derived.batch_size,
        device=derived.device,
    )


def _acting_policy(
    config: Config, derived: Derived, spec: EnvSpec, precision: str, first_index: int
) -> tuple[Policy, Callable[[np.ndarray], None]]:
    """In the actor's process: the policy, and what loads the learner's weights into it."""
    torch.set_num_threads(derived.actor_threads)
    device = torch.device(derived.device)
    prepare_device(device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.set_flush_denormal(True)  # as the learner does
    model = build.network(config, spec)
    flat = FlatParameters(model, device, precision)

    def load_weights(weights: np.ndarray) -> None:
        copy_whole(flat.master, torch.from_numpy(weights))
        flat.refresh()

    return build.policy(config, derived, model, first_index), load_weights
