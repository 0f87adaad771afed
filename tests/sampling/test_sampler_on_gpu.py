"""The sampler and the learner with everything on a GPU: same games, same rollout, same learning."""

import dataclasses

import pytest
import torch

from accel.algos import PPO, Constant, View
from accel.envs.batch import EnvRecipe
from accel.learning import build_learner
from accel.models import build_model
from accel.policies import CategoricalPolicy, PolicyStep
from accel.sampling.build import build_sampler
from accel.sampling.sampler import Sampler
from accel.sampling.stepping import probe_spec

pytestmark = pytest.mark.gpu
RECIPE = EnvRecipe("atari", "breakout")
SPEC = probe_spec(RECIPE)
SIZES = {"num_envs": 8, "rollout_length": 16, "seed": 1}


class NoisePolicy:
    """Acts on its noise alone, so that a CPU and a GPU choose the same actions."""

    state_size = 0

    def begin(self, agent_steps: int) -> None:
        pass

    def act(
        self, observations: torch.Tensor, noise: torch.Tensor, columns: slice, state: None
    ) -> PolicyStep:
        log_probs = torch.zeros(len(noise), SPEC.num_actions, device=noise.device)
        values = self.values(observations, state)
        return PolicyStep((noise * SPEC.num_actions).long(), log_probs, values)

    def values(self, observations: torch.Tensor, state: None) -> torch.Tensor:
        return observations.float().flatten(1).sum(1) / 4096  # sums of integers below 2**24: exact


def assert_same_rollouts(on_cpu: Sampler, on_gpu: Sampler) -> None:
    for version in range(3):
        expected, rollout = (sampler.collect(version)[0] for sampler in (on_cpu, on_gpu))
        for field in dataclasses.fields(expected):
            if field.name == "state":
                continue  # the policy has none
            gpu_tensor = getattr(rollout, field.name)
            assert gpu_tensor.is_cuda, field.name
            assert torch.equal(gpu_tensor.cpu(), getattr(expected, field.name)), field.name


@pytest.mark.parametrize(
    "how",
    [{}, {"frames_on_device": True}, {"frames_on_device": True, "cuda_graphs": True}],
    ids=["workers' frames", "device's frames", "recorded"],
)
@pytest.mark.parametrize("num_workers, num_groups", [(0, 1), (2, 2)])
def test_rollouts_equal_the_cpus(num_workers: int, num_groups: int, how: dict) -> None:
    """Of a sampler that starts, and of one that goes on where it was saved."""
    layout = {"num_workers": num_workers, "num_groups": num_groups}
    on_gpu = {"device": "cuda", **how}
    first, second, third = samplers = [
        build_sampler(RECIPE, SPEC, NoisePolicy(), **layout, **where, **SIZES)
        for where in ({}, on_gpu, on_gpu)
    ]
    try:
        first.start()
        second.start()
        assert_same_rollouts(first, second)
        third.load_state_dict(second.state_dict())
        assert_same_rollouts(first, third)
    finally:
        for sampler in samplers:
            sampler.close()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_few_updates_on_the_gpu(precision: str) -> None:
    model = build_model("nature_cnn", SPEC.frame_shape, 4, SPEC.num_actions, 512)
    algorithm = PPO(num_epochs=2, num_minibatches=2, view=View(clip_rewards=True))
    learner = build_learner(model, algorithm, Constant(1e-4), device="cuda", precision=precision)
    sampler = build_sampler(RECIPE, SPEC, CategoricalPolicy(model), device="cuda", **SIZES)
    before = learner.flat.master.clone()
    sampler.start()
    for step in range(3):
        rollout, _ = sampler.collect(learner.num_updates)
        losses = learner.update(rollout, step)
    sampler.close()
    assert all(
        bool(loss.isfinite()) for name, loss in losses.items() if name != "explained_variance"
    )
    assert not torch.equal(before, learner.flat.master)
