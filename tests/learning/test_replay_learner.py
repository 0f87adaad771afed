"""Learning from replay: when, how much, and the same as a plain loop, in pieces, resumed."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from accel.learning import NonFiniteLoss
from accel.learning.replay_learner import target_network
from accel.models.graphs import CudaGraphs
from tests.learning import plain_q_learning
from tests.learning.q_learners import (
    KINDS,
    NUM_ENVS,
    NUM_STEPS,
    PACE,
    STATE_SIZE,
    new_learner,
    new_lesson,
    new_model,
    new_replay,
)
from tests.recorded import on_meta

PER_ROLLOUT = NUM_STEPS * NUM_ENVS


@pytest.fixture
def rollouts(make_rollout):
    """Twelve rollouts: a replay is full after six."""
    sizes = dict(num_steps=NUM_STEPS, num_envs=NUM_ENVS, state_size=STATE_SIZE)
    return [make_rollout(**sizes, seed=seed) for seed in range(12)]


def taken_after_each(learner, rollouts):
    """Optimizer steps taken in all, after each rollout."""
    steps = 0
    taken = []
    for rollout in rollouts:
        learner.update(rollout, steps)
        steps += rollout.actions.numel()
        taken.append(learner.num_updates)
    return taken


@pytest.mark.parametrize(
    ("replay_ratio", "expected"),
    [
        (1.2, [3, 6, 9, 12, 15, 18]),  # 40 steps x 1.2 / 16 samples: 3 updates a rollout
        (1.0, [2, 5, 7, 10, 12, 15]),  # 2.5
        (0.1, [0, 0, 0, 1, 1, 1]),  # one every fourth rollout
    ],
)
def test_updates_keep_the_replay_ratio(replay_ratio, expected, rollouts):
    pace = replace(PACE, replay_ratio=replay_ratio, learning_starts=0)
    learner = new_learner(KINDS["dqn"], pace=pace)
    assert taken_after_each(learner, rollouts[:6]) == expected
    ratio = learner.charts(0)["replay_ratio"]
    assert ratio == pytest.approx(replay_ratio, abs=16 / (6 * PER_ROLLOUT))


@pytest.mark.parametrize(
    ("learning_starts", "expected"),
    [(81, [0, 0, 2, 4]), (80, [0, 2, 4, 6]), (0, [2, 4, 6, 8])],
)
def test_nothing_is_learned_before_learning_starts(learning_starts, expected, rollouts):
    """Nor is it made up for afterwards."""
    pace = replace(PACE, learning_starts=learning_starts)
    assert taken_after_each(new_learner(KINDS["dqn"], pace=pace), rollouts[:4]) == expected


@pytest.mark.parametrize(("name", "first"), [("dqn", 4), ("double", 6)])
def test_learning_waits_until_there_is_something_to_draw(name, first, make_rollout):
    """Rollouts of one step: a stack of 2, two rows to draw from, and 1 or 3 rows after each."""
    pace = replace(PACE, replay_ratio=2.0, learning_starts=0)
    learner = new_learner(KINDS[name], pace=pace, rollout_length=1)
    rollouts = [make_rollout(num_steps=1, num_envs=NUM_ENVS, seed=seed) for seed in range(8)]
    taken = taken_after_each(learner, rollouts)
    assert taken == [max(0, rollout - first + 1) for rollout in range(1, 9)]


def test_learning_waits_for_an_episode_to_end(make_rollout):
    """Where only whole episodes are learned from; what is due meanwhile is not made up for."""
    pace = replace(PACE, learning_starts=0)
    learner = new_learner(KINDS["monte_carlo"], pace=pace)
    rollouts = [make_rollout(num_steps=NUM_STEPS, num_envs=NUM_ENVS, seed=i) for i in range(12)]
    for index, rollout in enumerate(rollouts):
        rollout.valid[:] = True
        rollout.terminated[:] = rollout.truncated[:] = False
        rollout.truncated[-1, 3] = index == 2  # its last frame comes a rollout later
    # Ten rollouts are 50 rows of a ring of 30: after nine the end at row 14 is there no more.
    assert taken_after_each(learner, rollouts) == [0, 0, 0, 2, 4, 6, 8, 10, 10, 10, 10, 10]


def test_the_target_is_copied_at_its_interval_of_global_steps(rollouts):
    """Every 100 agent steps, at the end of a rollout of 40; after the first there is no change."""
    learner = new_learner(KINDS["dqn"], pace=replace(PACE, target_interval=100))
    copied = []
    for index, rollout in enumerate(rollouts[:10]):
        learner.update(rollout, index * PER_ROLLOUT)
        if torch.equal(learner.target.master, learner.flat.master):
            copied.append((index + 1) * PER_ROLLOUT)
    assert copied == [40, 120, 200, 320, 400]


def test_the_target_is_copied_when_others_steps_pass_its_interval(rollouts):
    """Asynchronous learners count all agent steps, most of which are not in their own rollouts."""
    pace = replace(PACE, target_interval=100, learning_starts=0)
    learner = new_learner(KINDS["dqn"], pace=pace)
    copied = []
    for rollout, agent_steps in zip(rollouts, (0, 45, 105, 150, 195)):
        learner.update(rollout, agent_steps)  # 40 of its own each time
        copied.append(torch.equal(learner.target.master, learner.flat.master))
    assert copied == [False, False, True, False, True]


def test_a_resumed_learner_knows_which_steps_of_others_it_has_not_seen(rollouts):
    """Those that passed the target's interval between its last rollout and the checkpoint."""
    pace = replace(PACE, target_interval=100, learning_starts=0)
    learner, resumed = new_learner(KINDS["dqn"], pace=pace), new_learner(KINDS["dqn"], pace=pace)
    for rollout, agent_steps in zip(rollouts, (0, 45)):
        learner.update(rollout, agent_steps)  # until 85
    resumed.load_state_dict(copy.deepcopy(learner.state_dict()))
    resumed.update(rollouts[2], 105)
    assert torch.equal(resumed.target.master, resumed.flat.master)


def test_charts_tell_the_pace_and_what_is_held(rollouts):
    learner = new_learner(KINDS["dqn"])
    assert learner.update(rollouts[0], 0) == {}
    assert learner.charts(0) == {
        "learning_rate": 1e-3,
        "replay_ratio": 0.0,
        "replay_agent_steps": PER_ROLLOUT,
    }
    taken_after_each(learner, rollouts[1:])
    charts = learner.charts(0)
    assert charts["replay_agent_steps"] == 6 * PER_ROLLOUT
    assert charts["replay_ratio"] == pytest.approx(PACE.replay_ratio)


@pytest.mark.parametrize("name", plain_q_learning.LOSSES)
def test_equals_a_plain_torch_training_loop(name, rollouts):
    kind = KINDS[name]
    learner = new_learner(kind)
    metrics = [learner.update(rollout, i * PER_ROLLOUT) for i, rollout in enumerate(rollouts[:7])]

    model = new_model(kind)
    history = plain_q_learning.learn(name, kind, model, new_replay(kind), PACE, rollouts[:7])
    expected = {key: weight.detach() for key, weight in model.named_parameters()}
    actual = learner.flat.state_dict()
    assert sum(len(updates) for updates in history) == learner.num_updates == 12
    for key, weight in expected.items():
        torch.testing.assert_close(actual[key], weight, rtol=1e-4, atol=1e-5)
    for means, updates in zip(metrics, history):
        for term in ("loss", "grad_norm") if updates else ():
            mean = sum(update[term] for update in updates) / len(updates)
            assert means[term].item() == pytest.approx(mean, rel=1e-3)


@pytest.mark.parametrize("name", KINDS)
def test_pieces_give_the_update_of_the_whole(name, rollouts):
    results = []
    for limit in (None, 5):
        learner = new_learner(KINDS[name], max_samples_per_pass=limit)
        metrics = [learner.update(rollout, 0) for rollout in rollouts[:4]]
        results.append((learner.flat.master, metrics[3]))
    (whole, whole_metrics), (pieces, pieces_metrics) = results
    torch.testing.assert_close(pieces, whole, rtol=1e-3, atol=1e-5)
    for term in whole_metrics:
        torch.testing.assert_close(pieces_metrics[term], whole_metrics[term], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["dqn", "monte_carlo", "rainbow", "noisy_iqn", "r2d2"])
def test_a_resumed_learner_goes_on_bit_for_bit(name, rollouts):
    """At a ratio that leaves a fraction of an update, and between copies to the target."""
    pace = replace(PACE, replay_ratio=1.0)
    learner, resumed = new_learner(KINDS[name], pace=pace), new_learner(KINDS[name], pace=pace)
    for index, rollout in enumerate(rollouts[:5]):
        learner.update(rollout, index * PER_ROLLOUT)
    assert not torch.equal(learner.target.master, learner.flat.master)
    resumed.load_state_dict(copy.deepcopy(learner.state_dict()))
    resumed.replay.load_state_dict(copy.deepcopy(learner.replay.state_dict()))
    steps = learner.replay.ring
    resumed.replay.ring.load_rows(steps.copy_rows(steps.held), steps.held, learner.replay.columns)
    for index, rollout in enumerate(rollouts[5:8], start=5):
        expected = learner.update(rollout, index * PER_ROLLOUT)
        metrics = resumed.update(rollout, index * PER_ROLLOUT)
        assert metrics and metrics == expected
    assert resumed.num_updates == learner.num_updates
    assert torch.equal(resumed.flat.master, learner.flat.master)
    assert torch.equal(resumed.target.master, learner.target.master)
    assert resumed.charts(0) == learner.charts(0)


@pytest.mark.parametrize("name", ["dqn", "rainbow"])
def test_a_non_finite_loss_is_named_and_traced_in_the_replay(name, rollouts):
    """To a step that came two rollouts before the first update."""
    rollouts[0].rewards[:] = torch.nan
    learner = new_learner(KINDS[name], pace=replace(PACE, learning_starts=3 * PER_ROLLOUT))
    for rollout in rollouts[:2]:
        assert learner.update(rollout, 0) == {}
    found = r"update 2, minibatch \d: loss, .*td_error.* not finite .*"
    where = "rewards hold nan first at row 0, environment 0 of the replay"
    with pytest.raises(NonFiniteLoss, match=found + where):
        learner.update(rollouts[2], 0)


@pytest.mark.parametrize("name", KINDS)
def test_the_buffers_of_cuda_graphs_change_nothing(name, rollouts, graphs):
    plain, recorded = new_learner(KINDS[name]), new_learner(KINDS[name], graphs=graphs)
    for index, rollout in enumerate(rollouts[:6]):
        metrics = [learner.update(rollout, index * PER_ROLLOUT) for learner in (plain, recorded)]
        assert metrics[0].keys() == metrics[1].keys()
        assert all(torch.equal(metrics[0][term], metrics[1][term]) for term in metrics[0])
    assert torch.equal(recorded.flat.master, plain.flat.master)
    assert graphs.num_recorded == 2 and graphs.num_replayed > 2


def test_an_optimizer_that_works_on_the_host_is_not_recorded(rollouts, graphs):
    plain, recorded = new_learner(KINDS["dqn"]), new_learner(KINDS["dqn"], graphs=graphs)
    own, rates = recorded.optimizer, []

    class OnHost:
        def step(self, gradient, learning_rate):
            rates.append(learning_rate)
            own.step(gradient, learning_rate)

    recorded.replace_optimizer(OnHost())
    for index, rollout in enumerate(rollouts[:6]):
        for learner in (plain, recorded):
            learner.update(rollout, index * PER_ROLLOUT)
    assert graphs.num_recorded == 1 and all(isinstance(rate, float) for rate in rates)
    assert len(rates) == recorded.num_updates
    assert torch.equal(recorded.flat.master, plain.flat.master)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_recorded_never_asks_for_a_number(name, rollouts):
    kind, learner = KINDS[name], new_learner(KINDS[name])
    given = {}
    find_gradient = learner._find_gradient

    def spy(**inputs):
        given.update(inputs)
        return find_gradient(**inputs)

    learner._find_gradient = spy
    for index, rollout in enumerate(rollouts[:6]):
        learner.update(rollout, index * PER_ROLLOUT)
    model = new_model(kind).to("meta")
    lesson = new_lesson(kind, model, target_network(model))
    batch, weights = on_meta(given["batch"]), on_meta(given["weights"])
    loss, priorities, terms = lesson.outcome(batch, weights, slice(0, len(weights)))
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    assert len(priorities) == kind.batch_size
    assert all(tensor.is_meta for tensor in (priorities, *terms.values(), *gradients))


@pytest.mark.gpu
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("recorded", [False, True])
def test_the_gpu_takes_the_same_steps(name, recorded, make_rollout, full_float32):
    """From the same draws, noise and fractions."""
    weights = []
    for device in ("cpu", "cuda"):
        graphs = CudaGraphs(device) if recorded and device == "cuda" else None
        learner = new_learner(KINDS[name], device=device, graphs=graphs)
        for seed in range(5):
            sizes = dict(num_steps=NUM_STEPS, num_envs=NUM_ENVS, state_size=STATE_SIZE)
            rollout = make_rollout(**sizes, seed=seed, device=device)
            learner.update(rollout, seed * PER_ROLLOUT)
        weights.append(learner.flat.master.cpu())
    torch.testing.assert_close(*weights, rtol=0, atol=1e-4)
