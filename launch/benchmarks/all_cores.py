"""The whole parallel sampler as a contender: with a policy that costs nothing, or with a network.

python all_cores.py NAME GAME NUM_ENVS NUM_WORKERS NUM_GROUPS [DEVICE]

With a DEVICE the Nature network acts on it, as in training.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from serving import serve

if TYPE_CHECKING:
    from accel.sampling.sampler import Policy
    from accel.types import EnvSpec

ROLLOUT_LENGTH = 128
SEED = 0


def main() -> None:
    """Serve timed rounds of collecting rollouts of the game named on the command line."""
    _, game, num_envs, num_workers, num_groups, *device = sys.argv[1:]
    serve(lambda: _collect(game, int(num_envs), int(num_workers), int(num_groups), *device))


def _collect(
    game: str, num_envs: int, num_workers: int, num_groups: int, device: str | None = None
) -> Callable[[], int]:
    """One call collects one rollout."""
    import torch

    from accel.envs.batch import EnvRecipe
    from accel.sampling.build import build_sampler
    from accel.sampling.scheduling import run_as_batch_job
    from accel.sampling.stepping import probe_spec

    run_as_batch_job()  # as every command of ours does
    torch.set_num_threads(1)
    recipe = EnvRecipe("atari", game)
    spec = probe_spec(recipe)
    sampler = build_sampler(
        recipe,
        spec,
        _uniform_policy(spec) if device is None else _network_policy(spec, device),
        num_envs=num_envs,
        rollout_length=ROLLOUT_LENGTH,
        seed=SEED,
        num_workers=num_workers,
        num_groups=num_groups,
        device=device or "cpu",
        cuda_graphs=device is not None and device.startswith("cuda"),
    )
    sampler.start()

    def advance() -> int:
        sampler.collect(policy_version=0)
        return ROLLOUT_LENGTH * num_envs

    return advance


def _uniform_policy(spec: EnvSpec) -> Policy:
    import torch

    from accel.policies import PolicyStep

    class UniformPolicy:
        """Every action equally likely, no network."""

        state_size = 0

        def begin(self, agent_steps: int) -> None:
            pass

        def act(
            self, observations: torch.Tensor, noise: torch.Tensor, columns: slice, state: None
        ) -> PolicyStep:
            actions = (noise * spec.num_actions).long()
            log_probs = torch.full((len(noise), spec.num_actions), -math.log(spec.num_actions))
            return PolicyStep(actions, log_probs, torch.zeros(len(noise)))

        def values(self, observations: torch.Tensor, state: None) -> torch.Tensor:
            return torch.zeros(len(observations))

    return UniformPolicy()


def _network_policy(spec: EnvSpec, device: str) -> Policy:
    import torch

    from accel.learning import FlatParameters, prepare_device, resolve_precision
    from accel.models import build_model
    from accel.policies import CategoricalPolicy

    prepare_device(torch.device(device))
    sizes = (spec.frame_shape, spec.frame_stack, spec.num_actions, 512)
    model = build_model("nature_cnn", *sizes)
    FlatParameters(model, torch.device(device), resolve_precision("auto", device)[0])
    return CategoricalPolicy(model)


if __name__ == "__main__":
    main()
