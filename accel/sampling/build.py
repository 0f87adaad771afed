"""Put a sampler together from plain arguments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from accel.envs.batch import EnvRecipe
from accel.models.graphs import CudaGraphs
from accel.sampling.frame_maker import FrameMaker
from accel.sampling.layout import policy_fields, rollout_fields, split
from accel.sampling.pinned import PinnedMemory
from accel.sampling.sampler import Policy, Sampler
from accel.sampling.stepping import SerialStepper
from accel.sampling.workers import Workers
from accel.shared import SharedBlock
from accel.types import EnvSpec


def build_sampler(
    recipe: EnvRecipe,
    spec: EnvSpec,
    policy: Policy,
    *,
    num_envs: int,
    rollout_length: int,
    seed: int,
    num_workers: int = 0,
    num_groups: int = 1,
    first_index: int = 0,
    decorrelation_steps: int = 0,
    slots: int = 1,
    bootstrap_values: bool = True,
    timeout_s: float = 10.0,
    device: torch.device | str = "cpu",
    frames_on_device: bool = False,
    cuda_graphs: bool = False,
    record_spans: bool = False,
    shared: bool = False,
    signs_of_life: np.ndarray | None = None,
    twin: Policy | None = None,
) -> Sampler:
    """A sampler of `num_envs` environments; call its `start` or `load_state_dict` next.

    Args:
        num_workers: worker processes; 0 steps the environments in this process.
        num_groups: alternating groups of as many environments, at least one for each worker.
        first_index: global index of the first environment.
        slots: rollouts kept at a time.
        bootstrap_values: whether the learner reads the last row of `Rollout.values`.
        timeout_s: longest wait for one step of the workers.
        frames_on_device: environments hand out raw screens, of which frames are made on `device`;
            the rollouts are the same. Only where `spec` has a `screen_shape`.
        cuda_graphs: record the work on a CUDA device: the policy's, and the making of frames.
        record_spans: whether each `collect` leaves in `time.spans` who did what when.
        shared: whole rollouts lie in the sampler's `block`, which another process can attach to.
        signs_of_life: [1] int64, counted up with every step that is served.
        twin: plays every other rollout, so that each can begin before the one before it is done.

    Raises:
        ValueError: the environments do not split into the groups, or do not go round the workers.
        WorkerError: a worker failed to start.
    """
    device = torch.device(device)
    groups = split(num_envs, num_groups)
    fields = rollout_fields(spec, rollout_length, num_envs, slots, raw_screens=frames_on_device)
    frame_maker = None
    if frames_on_device:
        recipe = replace(recipe, options={**recipe.options, "raw_screens": True})
        frame_maker = FrameMaker(spec.screen_shape[1], spec.frame_shape, device)
    if shared:
        fields += policy_fields(spec, rollout_length, num_envs, slots, policy.state_size)
    common = {
        "seed": seed,
        "first_index": first_index,
        "decorrelation_steps": decorrelation_steps,
        "num_spans": (rollout_length + 1) * num_groups if record_spans else 0,
    }
    if num_workers:
        stepper = Workers(
            recipe, fields, groups, num_workers=num_workers, timeout_s=timeout_s, **common
        )
        block, arrays = stepper.block, stepper.arrays
    else:
        block = SharedBlock(fields) if shared else None
        arrays = (
            block.arrays
            if block is not None
            else {field.name: np.zeros(field.shape, field.dtype) for field in fields}
        )
        stepper = SerialStepper(recipe, arrays, groups, **common)
    is_pinned = block is not None and device.type == "cuda"
    return Sampler(
        stepper, arrays, groups, policy, num_actions=spec.num_actions, seed=seed,
        first_index=first_index, bootstrap_values=bootstrap_values, device=device,
        frame_maker=frame_maker,
        pinned=PinnedMemory(block.memory, device) if is_pinned else None,
        graphs=CudaGraphs(device) if cuda_graphs else None, record_spans=record_spans, block=block,
        signs_of_life=signs_of_life, twin=twin,
    )  # fmt: skip
