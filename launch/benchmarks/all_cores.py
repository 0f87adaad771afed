"""The whole parallel sampler with a policy that costs nothing, as a contender.

python all_cores.py NAME GAME NUM_ENVS NUM_WORKERS
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

from serving import serve

ROLLOUT_LENGTH = 128
NUM_GROUPS = 2
SEED = 0


def main() -> None:
    """Serve timed rounds of collecting rollouts of the game named on the command line."""
    _, game, num_envs, num_workers = sys.argv[1:]
    serve(lambda: _collect(game, int(num_envs), int(num_workers)))


def _collect(game: str, num_envs: int, num_workers: int) -> Callable[[], int]:
    """One call collects one rollout."""
    import torch

    from accel.envs.batch import EnvRecipe
    from accel.policies import PolicyStep
    from accel.sampling.build import build_sampler
    from accel.sampling.scheduling import run_as_batch_job
    from accel.sampling.stepping import probe_spec

    run_as_batch_job()  # as every command of ours does
    torch.set_num_threads(1)
    recipe = EnvRecipe("atari", game)
    spec = probe_spec(recipe)

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

    sampler = build_sampler(
        recipe,
        spec,
        UniformPolicy(),
        num_envs=num_envs,
        rollout_length=ROLLOUT_LENGTH,
        seed=SEED,
        num_workers=num_workers,
        num_groups=NUM_GROUPS,
    )
    sampler.start()

    def advance() -> int:
        sampler.collect(policy_version=0)
        return ROLLOUT_LENGTH * num_envs

    return advance


if __name__ == "__main__":
    main()
