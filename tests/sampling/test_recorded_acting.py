"""Acting through the buffers of CUDA graphs gives the same rollouts, bit for bit."""

import pytest
import torch

from accel.envs.batch import EnvRecipe
from accel.models import build_model, build_q_network
from accel.policies import CategoricalPolicy, EpsilonGreedyPolicy, Exploration
from accel.sampling.layout import rollout_fields, split
from accel.sampling.sampler import Sampler
from accel.sampling.stepping import SerialStepper, probe_spec
from accel.shared import SharedBlock
from tests.recorded import on_meta

RECIPE = EnvRecipe("gym", "CartPole-v1", {"frame_stack": 2})
SPEC = probe_spec(RECIPE)
NUM_ENVS, LENGTH = 6, 8


def actor_critic(core: str) -> CategoricalPolicy:
    torch.manual_seed(0)
    sizes = ("mlp", SPEC.frame_shape, SPEC.frame_stack, SPEC.num_actions, 16)
    return CategoricalPolicy(build_model(*sizes, core=core, core_size=8))


def noisy_q() -> EpsilonGreedyPolicy:
    """Its chance of a random action and its noise change from rollout to rollout."""
    torch.manual_seed(0)
    sizes = ("mlp", SPEC.frame_shape, SPEC.frame_stack, SPEC.num_actions, 16)
    exploration = Exploration(1.0, torch.linspace(0.1, 0.5, NUM_ENVS), 100)
    model = build_q_network(*sizes, noisy=True)
    return EpsilonGreedyPolicy(model, lambda output: output.values.squeeze(2), exploration, 7)


POLICIES = {
    "feed-forward": lambda: actor_critic("none"),
    "recurrent": lambda: actor_critic("gru"),
    "noisy": noisy_q,
}


@pytest.mark.parametrize("name", POLICIES)
def test_buffers_change_nothing(name: str, graphs) -> None:
    groups = split(NUM_ENVS, 2)
    fields = rollout_fields(SPEC, LENGTH, NUM_ENVS, slots=2)
    samplers = []
    for recorder in (None, graphs):
        arrays = SharedBlock(fields).arrays
        stepper = SerialStepper(RECIPE, arrays, groups, seed=1)
        policy = POLICIES[name]()
        samplers.append(
            Sampler(
                stepper,
                arrays,
                groups,
                policy,
                num_actions=SPEC.num_actions,
                seed=1,
                graphs=recorder,
            )
        )
        samplers[-1].start()
    for version in range(4):
        plain, recorded = (sampler.collect(version, 30 * version)[0] for sampler in samplers)
        for field, tensor in vars(plain).items():
            assert tensor is None or torch.equal(getattr(recorded, field), tensor), field
    assert graphs.num_recorded == len(groups)  # one each, whatever the slot
    assert graphs.num_replayed == len(groups) * (4 * LENGTH - 3)


@pytest.mark.parametrize("name", POLICIES)
def test_acting_never_asks_for_a_number(name: str) -> None:
    policy = POLICIES[name]()
    policy.model.to("meta")
    if hasattr(policy, "_epsilon"):
        policy._epsilon = on_meta(policy._epsilon)
    size = policy.state_size
    step = policy.act(
        observations=torch.zeros(3, SPEC.frame_stack, *SPEC.frame_shape, device="meta"),
        noise=torch.zeros(3, device="meta"),
        columns=slice(3, 6),
        state=torch.zeros(3, size, device="meta") if size else None,
    )
    assert all(tensor is None or tensor.is_meta for tensor in step)
    assert step.log_probs.shape == (3, SPEC.num_actions)
