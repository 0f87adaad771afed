"""Learning with a recurrent core: whole columns, from the state that acting recorded."""

import copy

import pytest
import torch

from accel.algos import A2C, IMPALA, PPO, PQN, Constant
from accel.envs.batch import EnvRecipe
from accel.learning import build_learner
from accel.models import build_model, build_q_network, stack_frames
from accel.policies import CategoricalPolicy
from accel.sampling.build import build_sampler
from accel.sampling.stepping import probe_spec

ALGORITHMS = [PPO(num_epochs=2, num_minibatches=3), A2C(), IMPALA(num_minibatches=2)]


@pytest.fixture
def make_recurrent_rollout(make_rollout):
    return lambda state_size, **arguments: make_rollout(state_size=state_size, **arguments)


def weights_of(learner):
    return torch.cat([weight.flatten() for weight in learner.flat.state_dict().values()])


@pytest.mark.parametrize(
    ("core", "algorithm"), [("lstm", A2C()), ("gru", A2C()), ("gru", IMPALA())]
)
def test_the_gradient_is_that_of_every_environment_stepped_alone(
    make_model, make_recurrent_rollout, core, algorithm
):
    model = make_model("small_cnn", core=core)
    rollout = make_recurrent_rollout(model.state_size)
    learner = build_learner(model, algorithm, Constant(1e-3), max_grad_norm=None)
    learner.update(rollout, 0)

    plain = make_model("small_cnn", core=core)
    batch = algorithm.prepare(rollout)
    num_rows = batch.steps_together  # with V-trace one more than steps
    logits, values = torch.zeros(num_rows, 4, 4), torch.zeros(num_rows, 4)
    for b in range(4):
        state = rollout.state[b : b + 1]
        for t in range(num_rows):
            if rollout.age[t, b] == 0:
                state = torch.zeros_like(state)
            place = torch.tensor([t]), torch.tensor([b])
            observation = stack_frames(rollout.frames, rollout.age, *place)
            (step_logits, step_values), state = plain.step(observation, state)
            logits[t, b], values[t, b] = step_logits[0], step_values[0]
    loss, _ = algorithm.loss((logits.flatten(0, 1), values.flatten()), batch, 0)
    named = dict(plain.named_parameters())
    expected = torch.autograd.grad(loss, list(named.values()))
    views = dict(zip(learner.flat.names, learner.flat._gradient_views))
    for name, gradient in zip(named, expected):
        torch.testing.assert_close(views[name], gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pieces_give_the_gradient_of_the_whole(make_model, make_recurrent_rollout, algorithm):
    results = []
    for limit in (None, 9, 1):  # 8 steps: one column at a time, in the last two
        model = make_model("small_cnn", core="gru")
        learner = build_learner(
            model, algorithm, Constant(1e-3), max_samples_per_pass=limit, max_grad_norm=None
        )
        metrics = learner.update(make_recurrent_rollout(model.state_size), 0)
        results.append((weights_of(learner), learner.flat.gradient.clone(), metrics))
    for weights, gradient, metrics in results[1:]:
        torch.testing.assert_close(weights, results[0][0], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(gradient, results[0][1], rtol=1e-3, atol=1e-4)
        for name, value in results[0][2].items():
            torch.testing.assert_close(metrics[name], value, rtol=1e-3, atol=1e-5)


def test_a_resumed_learner_goes_on_bit_for_bit(make_model, make_recurrent_rollout):
    def build():
        return build_learner(make_model("small_cnn", core="lstm"), ALGORITHMS[0], Constant(1e-3))

    learner = build()
    learner.update(make_recurrent_rollout(16), 0)
    state = copy.deepcopy(learner.state_dict())
    learner.update(make_recurrent_rollout(16, seed=1), 32)
    resumed = build()
    resumed.load_state_dict(state)
    resumed.update(make_recurrent_rollout(16, seed=1), 32)
    assert torch.equal(weights_of(resumed), weights_of(learner))


def test_pqn_learns_with_a_core_too(make_recurrent_rollout):
    torch.manual_seed(0)
    model = build_q_network("small_cnn", (36, 36), 2, 4, 16, core="gru", core_size=8)
    learner = build_learner(model, PQN(num_epochs=1, num_minibatches=2), Constant(1e-3))
    before = weights_of(learner)
    metrics = learner.update(make_recurrent_rollout(8), 0)
    assert metrics["td_error"] > 0 and not torch.equal(weights_of(learner), before)


@pytest.mark.parametrize(
    ("core", "algorithm", "divergence"),
    [
        ("lstm", PPO(num_epochs=1, num_minibatches=1), "approx_kl"),
        ("gru", PPO(num_epochs=1, num_minibatches=1), "approx_kl"),
        ("gru", IMPALA(), "behavior_kl"),
    ],
)
def test_before_its_first_step_a_learner_agrees_with_what_acted(core, algorithm, divergence):
    """Over rollouts, episode starts and groups: the probability ratio is 1 at first."""
    recipe = EnvRecipe("gym", "CartPole-v1", {"frame_stack": 2})
    spec = probe_spec(recipe)
    torch.manual_seed(0)
    model = build_model("mlp", spec.frame_shape, 2, 2, 16, core=core, core_size=8)
    torch.nn.init.normal_(model.policy_head.weight)  # far from uniform: a wrong state would show
    learner = build_learner(model, algorithm, Constant(1e-2), max_grad_norm=None)
    sampler = build_sampler(
        recipe, spec, CategoricalPolicy(model), num_envs=4, rollout_length=32, seed=0, num_groups=2
    )
    sampler.start()
    for update in range(3):
        rollout, _ = sampler.collect(update)
        assert bool((rollout.age[1:-1] == 0).any())
        assert bool((rollout.age[0] > 0).any()) == (update > 0)
        assert learner.update(rollout, 0)[divergence].abs() < 1e-7
    rollout, _ = sampler.collect(3)
    rollout.state.zero_()  # what a learner without it would start from
    assert learner.update(rollout, 0)[divergence] > 1e-5
    sampler.close()


@pytest.mark.gpu
@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_the_gpu_takes_the_same_step(make_model, make_recurrent_rollout, core):
    gradients = []
    for device in ("cpu", "cuda"):
        model = make_model("small_cnn", core=core)
        learner = build_learner(model, A2C(), Constant(1e-3), device=device)
        learner.update(make_recurrent_rollout(model.state_size, device=device), 0)
        gradients.append(learner.flat.gradient.cpu())
    assert torch.cosine_similarity(*gradients, dim=0) > 0.9999
