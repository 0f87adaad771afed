"""An update through the buffers of CUDA graphs equals the plain one, bit for bit."""

import copy

import pytest
import torch

from accel.algos import A2C, IMPALA, PPO, PQN, Linear
from accel.learning import build_learner
from accel.learning.learner import Learner
from accel.models import build_q_network
from accel.models.graphs import CudaGraphs

NUM_UPDATES = 6  # three to warm up, so that some are replayed even with one minibatch
RATE = Linear(1e-3, 0.0, 2000)
BONUS = Linear(0.5, 0.0, 700)
ALGORITHMS = {
    "ppo": PPO(
        num_epochs=2, num_minibatches=3, clip_range=Linear(0.3, 0.0, 500), entropy_coef=BONUS
    ),
    "a2c": A2C(entropy_coef=BONUS),
    "impala": IMPALA(num_minibatches=2, entropy_coef=BONUS),
    "pqn": PQN(num_epochs=1, num_minibatches=2),
}


@pytest.fixture
def build(make_model):
    """build(algorithm, graphs, ...) makes the same learner each time."""

    def make(name, graphs=None, device="cpu", core="none", optimizer="adam"):
        if name == "pqn":
            torch.manual_seed(0)
            model = build_q_network("nature_cnn", (36, 36), 2, 4, 16)
        else:
            model = make_model(core=core)
        learner = build_learner(
            model, ALGORITHMS[name], RATE, device=device, optimizer=optimizer, seed=3
        )
        if graphs is None:
            return learner
        return Learner(
            model, learner.algorithm, learner.flat, learner.optimizer, RATE,
            max_grad_norm=0.5, seed=3, graphs=graphs,
        )  # fmt: skip

    return make


def learn(learner, rollouts):
    """The metrics of each update, and the weights after all of them."""
    metrics = [learner.update(rollout, 32 * k) for k, rollout in enumerate(rollouts)]
    return metrics, learner.flat.master


def in_slots(rollouts, num_slots):
    """The rollouts as a sampler gives them: one after the other in the memory of a few slots."""
    slots = [copy.deepcopy(rollout) for rollout in rollouts[:num_slots]]
    for index, rollout in enumerate(rollouts):
        slot = slots[index % num_slots]
        for name, tensor in vars(rollout).items():
            if tensor is not None:
                getattr(slot, name).copy_(tensor)
        yield slot


@pytest.mark.parametrize("num_slots", [1, 2])
@pytest.mark.parametrize(
    ("name", "core", "optimizer"),
    [
        ("ppo", "none", "adam"),
        ("ppo", "lstm", "adam"),
        ("a2c", "none", "rmsprop"),
        ("impala", "none", "rmsprop"),
        ("pqn", "none", "adam"),
    ],
)
def test_buffers_change_nothing(build, make_rollout, graphs, name, core, optimizer, num_slots):
    state_size = 16 if core == "lstm" else 0
    # 8 x 4 samples in 3 minibatches: of two sizes
    rollouts = [make_rollout(seed=k, state_size=state_size) for k in range(NUM_UPDATES * num_slots)]
    plain_metrics, plain_weights = learn(build(name, core=core, optimizer=optimizer), rollouts)
    learner = build(name, graphs, core=core, optimizer=optimizer)
    metrics, weights = learn(learner, in_slots(rollouts, num_slots))
    assert graphs.num_replayed > graphs.num_recorded > num_slots
    assert torch.equal(weights, plain_weights)
    for one, other in zip(metrics, plain_metrics):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_the_step_is_recorded_anew_once_a_state_is_loaded(build, make_rollout, graphs):
    """A loaded optimizer's moments are other tensors than those that were recorded."""
    slot = make_rollout()
    plain, recorded = build("a2c"), build("a2c", graphs)
    plain.update(slot, 0)
    learn(recorded, [slot] * 4)
    before = graphs.num_recorded
    recorded.load_state_dict(copy.deepcopy(plain.state_dict()))
    for update in range(4):
        assert graphs.num_recorded == before
        for learner in (plain, recorded):
            learner.update(slot, 32 * update)
    assert graphs.num_recorded == before + 1
    assert torch.equal(recorded.flat.master, plain.flat.master)


def test_a_replaced_optimizer_is_called_at_every_step(build, make_rollout, graphs):
    """It works on the host, which a replay would not come by."""
    slot = make_rollout()
    plain, recorded = build("a2c"), build("a2c", graphs)
    own, rates = recorded.optimizer, []

    class OnHost:
        def step(self, gradient, learning_rate):
            rates.append(learning_rate)
            own.step(gradient, learning_rate)

    recorded.replace_optimizer(OnHost())
    learn(plain, [slot] * NUM_UPDATES)
    learn(recorded, [slot] * NUM_UPDATES)
    assert rates == [RATE(32 * update) for update in range(NUM_UPDATES)]
    assert graphs.num_replayed > 0
    assert torch.equal(recorded.flat.master, plain.flat.master)


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "core"), [("ppo", "none"), ("ppo", "lstm"), ("a2c", "none")])
def test_recorded_updates_equal_plain_ones_on_a_gpu(build, make_rollout, full_float32, name, core):
    """But for the learning rate, which a recording reads as a float32."""
    state_size = 16 if core == "lstm" else 0
    rollouts = [
        make_rollout(seed=k, state_size=state_size, device="cuda") for k in range(NUM_UPDATES)
    ]
    _, plain = learn(build(name, device="cuda", core=core), rollouts)
    learner = build(name, CudaGraphs("cuda"), device="cuda", core=core)
    _, recorded = learn(learner, in_slots(rollouts, 1))
    assert any(one.replay for one in learner._take_step._recordings.values())
    torch.testing.assert_close(recorded, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "core"), [(name, "none") for name in ALGORITHMS] + [("ppo", "lstm")]
)
def test_what_is_recorded_never_asks_for_a_number(build, make_rollout, name, core):
    """Tensors on the meta device have none to give: what waits for a GPU fails here."""
    learner = build(name, device="meta", core=core, optimizer="rmsprop")
    rollout = make_rollout(device="meta", state_size=16 if core == "lstm" else 0)
    batch = learner.algorithm.prepare(rollout)
    minibatch = batch.take(torch.arange(batch.num_units // 2, device="meta"))
    agent_steps = torch.full((), 5.0, dtype=torch.float64, device="meta")
    terms = learner._gradient(rollout, minibatch, agent_steps)
    terms["grad_norm"] = learner._apply_gradient(1e-3)
    assert all(term.is_meta and term.shape == () for term in terms.values())
