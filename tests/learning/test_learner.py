"""One update end to end: against an unflattened reference, in pieces, resumed, in bfloat16."""

import copy
import re

import pytest
import torch

from accel.algos import A2C, IMPALA, PPO, Constant, Linear, Ranks
from accel.learning import NonFiniteLoss, build_learner
from accel.learning.finite import trace
from accel.models import stack_frames

ALGORITHMS = [PPO(num_epochs=2, num_minibatches=2), A2C(), IMPALA(num_minibatches=2)]


def weights_of(learner):
    return torch.cat([weight.flatten() for weight in learner.flat.state_dict().values()])


@pytest.mark.parametrize("name", ["nature_cnn", "mlp"])
def test_equals_a_plain_torch_training_loop(make_model, make_rollout, name):
    algorithm = PPO(num_epochs=2, num_minibatches=2)
    rollout = make_rollout()
    learner = build_learner(make_model(name), algorithm, Constant(1e-3), seed=3)
    metrics = learner.update(rollout, 0)

    model = make_model(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-5)
    generator = torch.Generator().manual_seed(3)
    batch = algorithm.prepare(rollout)
    norms = []
    for _ in range(2):
        for minibatch in algorithm.minibatches(batch, generator):
            stacks = stack_frames(rollout.frames, rollout.age, minibatch.time, minibatch.env)
            loss, _ = algorithm.loss(model(stacks), minibatch, 0)
            optimizer.zero_grad()
            loss.backward()
            norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5))
            optimizer.step()
    expected = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    by_name = learner.flat.state_dict()
    actual = torch.cat([by_name[key].flatten() for key, _ in model.named_parameters()])
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(metrics["grad_norm"], torch.stack(norms).mean(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pieces_give_the_gradient_of_the_whole(make_model, make_rollout, algorithm):
    rollout = make_rollout()
    results = []
    for limit in (None, 5):
        learner = build_learner(
            make_model(), algorithm, Constant(1e-3), max_samples_per_pass=limit, max_grad_norm=None
        )
        metrics = learner.update(rollout, 0)
        results.append((learner.flat.gradient, metrics))
    (whole, whole_metrics), (pieces, pieces_metrics) = results
    torch.testing.assert_close(pieces, whole, rtol=1e-3, atol=1e-5)
    for name in whole_metrics:
        torch.testing.assert_close(pieces_metrics[name], whole_metrics[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_invalid_steps_change_nothing(make_model, make_rollout, algorithm):
    rollout = make_rollout()
    rollout.truncated[:-1] |= ~rollout.valid[1:]  # what makes a step invalid, and cuts it off
    changed = copy.deepcopy(rollout)
    changed.actions[~rollout.valid] = 0
    changed.log_probs[~rollout.valid] = -9.0
    results = []
    for each in (rollout, changed):
        learner = build_learner(make_model(), algorithm, Constant(1e-3))
        metrics = learner.update(each, 0)
        results.append((weights_of(learner), metrics))
    assert torch.equal(results[0][0], results[1][0])
    assert all(torch.equal(results[0][1][name], results[1][1][name]) for name in results[0][1])


def test_gradients_are_added_up_between_backward_and_clip(make_model, make_rollout):
    seen = []

    def add_up(tensor):
        if tensor.numel() > 100:
            seen.append(tensor.norm().item())
            tensor.mul_(2)
        return tensor

    learner = build_learner(
        make_model(), A2C(), Constant(1e-3), ranks=Ranks(total=add_up), max_grad_norm=0.5
    )
    metrics = learner.update(make_rollout(), 0)
    assert metrics["grad_norm"].item() == pytest.approx(2 * seen[0], rel=1e-5)
    assert learner.flat.gradient.norm().item() == pytest.approx(0.5, rel=1e-4)


def test_learning_rate_follows_agent_steps(make_model, make_rollout):
    learner = build_learner(make_model(), A2C(), Linear(1e-3, 0.0, 100))
    before = weights_of(learner)
    learner.update(make_rollout(), 100)
    assert torch.equal(weights_of(learner), before)
    learner.update(make_rollout(), 0)
    assert not torch.equal(weights_of(learner), before)


def test_target_kl_skips_further_epochs(make_model, make_rollout):
    rollout = make_rollout()
    results = []
    for num_epochs, target_kl in ((1, None), (4, 1e-9), (4, None)):
        algorithm = PPO(num_epochs=num_epochs, num_minibatches=2, target_kl=target_kl)
        learner = build_learner(make_model(), algorithm, Constant(1e-3))
        learner.update(rollout, 0)
        results.append(weights_of(learner))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_learner_goes_on_bit_for_bit(make_model, make_rollout, precision, optimizer):
    def build():
        return build_learner(
            make_model(), ALGORITHMS[0], Constant(1e-3), precision=precision, optimizer=optimizer
        )

    learner = build()
    learner.update(make_rollout(seed=0), 0)
    state = copy.deepcopy(learner.state_dict())
    learner.update(make_rollout(seed=1), 32)
    resumed = build()
    resumed.load_state_dict(state)
    assert resumed.num_updates == 1
    resumed.update(make_rollout(seed=1), 32)
    assert torch.equal(weights_of(resumed), weights_of(learner))


@pytest.mark.parametrize("name", ["nature_cnn", "impala_cnn"])
def test_bfloat16_tracks_float32(make_model, make_rollout, name):
    moves = []
    for precision in ("fp32", "bf16"):
        learner = build_learner(make_model(name), A2C(), Constant(1e-3), precision=precision)
        before = weights_of(learner)
        metrics = learner.update(make_rollout(num_steps=32), 0)
        moves.append((learner.flat.gradient.clone(), metrics))
        assert (weights_of(learner) - before).abs().max() < 2e-3
    (exact, exact_metrics), (rounded, rounded_metrics) = moves
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.995
    for key, value in exact_metrics.items():
        torch.testing.assert_close(rounded_metrics[key], value, rtol=0.03, atol=0.01)


@pytest.mark.parametrize(
    ("field", "term"), [("rewards", "value_loss"), ("log_probs", "policy_loss")]
)
def test_a_non_finite_loss_is_named(make_model, make_rollout, field, term):
    rollout = make_rollout()
    rollout.valid[:] = True
    getattr(rollout, field)[3, 1] = torch.nan
    learner = build_learner(make_model(), PPO(num_epochs=1), Constant(1e-3))
    with pytest.raises(NonFiniteLoss, match=rf"update 1, minibatch \d: .*{term}.* not finite"):
        learner.update(rollout, 0)


@pytest.mark.parametrize(
    ("log_prob", "found"),
    [
        (
            -torch.inf,
            "the rollout was finite, so .*; the learning rate may be too high",
        ),
        (torch.inf, "log_probs hold inf first at row 3, environment 1 of the rollout"),
    ],
)
def test_an_action_that_is_never_taken_is_not_blamed(make_rollout, log_prob, found):
    rollout = make_rollout()
    rollout.log_probs[3, 1, 0] = log_prob
    assert re.fullmatch(found, trace(rollout))  # in the midst of a sentence


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_gpu_takes_the_same_step(make_model, make_rollout, precision):
    gradients = []
    for device in ("cpu", "cuda"):
        learner = build_learner(
            make_model(), A2C(), Constant(1e-3), device=device, precision=precision
        )
        learner.update(make_rollout(num_steps=32, device=device), 0)
        gradients.append(learner.flat.gradient.cpu())
    assert torch.cosine_similarity(*gradients, dim=0) > (0.9999 if precision == "fp32" else 0.99)


@pytest.mark.gpu
def test_an_update_on_the_gpu_resumes_bit_for_bit(make_model, make_rollout):
    learner = build_learner(make_model("mlp"), ALGORITHMS[0], Constant(1e-3), device="cuda")
    learner.update(make_rollout(device="cuda"), 0)
    resumed = build_learner(make_model("mlp"), ALGORITHMS[0], Constant(1e-3), device="cuda")
    resumed.load_state_dict(copy.deepcopy(learner.state_dict()))
    for each in (learner, resumed):
        each.update(make_rollout(seed=1, device="cuda"), 32)
    assert torch.equal(weights_of(resumed), weights_of(learner))
