"""Units that are off on all screens: counted in every network, and by nothing that is changed."""

from __future__ import annotations

import copy

import pytest
import torch

from accel.learning.dead_units import (
    MOST_OBSERVATIONS,
    STEPS_BETWEEN_LOOKS,
    UNKNOWN,
    DeadUnits,
    share_of_dead_units,
)
from accel.learning.flat import FlatParameters
from accel.models import ActorCritic, build_model, build_q_network

SIZES = ((36, 36), 2, 4, 16)  # frame, stack, actions, hidden units
STEPS = STEPS_BETWEEN_LOOKS
NEVER = -1e6  # a bias that no input outweighs


def actor_critic(name="nature_cnn", **settings) -> ActorCritic:
    torch.manual_seed(0)
    return build_model(name, *SIZES, **settings)


def last_layers(model) -> list[torch.nn.Linear]:
    """The layers whose units are counted."""
    if isinstance(model, ActorCritic):
        return [torso.linear for torso in model.torsos()]
    head = model.head
    if model.state_size == 0 and head.has_hidden:
        return [stream.hidden for stream in (head.values, head.baseline) if stream is not None]
    return [model.torso.linear]


@torch.no_grad()
def keep_on(model, num_on: int) -> None:
    """Let the first `num_on` units of each last hidden layer be on always, the others never."""
    for layer in last_layers(model):
        layer.bias.fill_(-NEVER)
        layer.bias[num_on:] = NEVER


def q_network(name="nature_cnn", **settings):
    torch.manual_seed(0)
    return build_q_network(name, *SIZES, **settings)


NETWORKS = {
    "nature_cnn": actor_critic,
    "small_cnn": lambda: actor_critic("small_cnn"),
    "impala_cnn": lambda: actor_critic("impala_cnn"),
    "separate critic": lambda: actor_critic(separate_critic=True),
    "lstm": lambda: actor_critic(core="lstm", core_size=8),
    "dqn": q_network,
    "r2d2": lambda: q_network(core="lstm", core_size=8, dueling=True),
    "rainbow": lambda: q_network(head="categorical", num_outputs=5, dueling=True, noisy=True),
    "iqn": lambda: q_network(head="implicit", num_outputs=5),
    "dueling mlp": lambda: q_network("mlp", dueling=True),
}


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_units_of_every_network_are_counted(build, make_rollout) -> None:
    model, rollout = build(), make_rollout()
    for num_on in (16, 12, 0):
        keep_on(model, num_on)
        assert share_of_dead_units(model, rollout) == 1 - num_on / 16


def test_both_torsos_count(make_rollout) -> None:
    model = actor_critic(separate_critic=True)
    keep_on(model, 16)
    with torch.no_grad():
        model.critic_torso.linear.bias.fill_(NEVER)
    assert share_of_dead_units(model, make_rollout()) == 0.5


def test_a_unit_that_is_on_for_one_screen_is_alive(make_rollout) -> None:
    """The observations are spread over the rollout; of a small one all are looked at."""
    model = actor_critic()
    keep_on(model, 0)
    rollout = make_rollout(num_steps=8, num_envs=4)
    seen = []
    model.torso.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    assert share_of_dead_units(model, rollout) == 1
    assert seen[0].shape == (32, 2, 36, 36)
    with torch.no_grad():
        features = model.torso.convolve(seen[0]).permute(0, 2, 3, 1).flatten(1)
        odd = features[17] - features.mean(0)
        scores = features @ odd
        model.torso.linear.weight[3] = odd
        model.torso.linear.bias[3] = -(scores[17] + scores.topk(2).values[1]) / 2
    assert int((scores >= scores[17]).sum()) == 1
    assert share_of_dead_units(model, rollout) == 15 / 16


def test_of_a_large_rollout_a_spread_sample_is_looked_at(make_rollout) -> None:
    model, sizes = actor_critic("small_cnn"), []
    model.torso.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    share_of_dead_units(model, make_rollout(num_steps=64, num_envs=8))
    assert sizes == [MOST_OBSERVATIONS]


def test_a_network_without_rectified_units_has_no_chart(make_rollout) -> None:
    units = DeadUnits(actor_critic("mlp"))
    units.before_update(make_rollout())
    assert units.metrics(32, 0) == {}


def test_weights_in_bfloat16_are_counted_too(make_rollout) -> None:
    model = actor_critic()
    keep_on(model, 12)
    FlatParameters(model, torch.device("cpu"), "bf16")
    assert model.torso.linear.weight.dtype == torch.bfloat16
    assert share_of_dead_units(model, make_rollout()) == 0.25


def test_the_share_is_shown_beside_that_before_the_first_update(make_rollout) -> None:
    model, rollout = actor_critic(), make_rollout()
    units = DeadUnits(model)
    assert units.metrics(32, 0) == {}
    shares = []
    for num_on in (12, 8, 4):  # before the first update, after it, after the second
        keep_on(model, num_on)
        if num_on > 4:
            units.before_update(rollout)
        shares.append(units.metrics(32, 0))
    assert [share["stats/dead_units"] for share in shares] == [0.25, 0.5, 0.75]
    assert {share["stats/dead_units_at_start"] for share in shares} == {0.25}


def test_a_resumed_run_has_the_same_reference(make_rollout) -> None:
    model, rollout = actor_critic(), make_rollout()
    whole, fresh = DeadUnits(model), DeadUnits(model)
    fresh.load_state_dict(copy.deepcopy(whole.state_dict()))  # stopped before the first update
    keep_on(model, 12)
    for units in (whole, fresh):
        units.before_update(rollout)
    keep_on(model, 8)
    resumed, old = DeadUnits(model), DeadUnits(model)
    resumed.load_state_dict(copy.deepcopy(fresh.state_dict()))
    old.load_state_dict(UNKNOWN)
    for units in (resumed, old):
        units.before_update(rollout)
    assert whole.metrics(32, 0) == resumed.metrics(32, 0) == fresh.metrics(32, 0)
    assert old.metrics(32, 0) == {"stats/dead_units": 0.5}


def test_nothing_random_is_drawn_and_nothing_changed(make_rollout) -> None:
    model = NETWORKS["rainbow"]()
    model.draw_noise(torch.Generator().manual_seed(1))
    rollout = make_rollout()
    before = copy.deepcopy((model.state_dict(), model.head.values.hidden.noise, vars(rollout)))
    state = torch.get_rng_state()
    units = DeadUnits(model)
    units.before_update(rollout)
    assert units.metrics(32, 0)
    assert torch.equal(torch.get_rng_state(), state)
    after = (model.state_dict(), model.head.values.hidden.noise, vars(rollout))
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("steps", "last", "is_due"),
    [
        (32, 0, True),  # the first log point of a run
        (STEPS - 1, 32, False),
        (STEPS, 32, True),
        (STEPS + 1, STEPS - 1, True),
        (2 * STEPS - 1, STEPS, False),
        (9 * STEPS, STEPS, True),
    ],
)
def test_looks_are_some_agent_steps_apart(steps, last, is_due, make_rollout) -> None:
    """By global agent steps alone: a resumed run looks where the uninterrupted one does."""
    units = DeadUnits(actor_critic("small_cnn"))
    units.before_update(make_rollout())
    assert bool(units.metrics(steps, last)) == is_due


@pytest.mark.gpu
def test_on_a_gpu_too(make_rollout) -> None:
    model = actor_critic().cuda()
    keep_on(model, 12)
    assert share_of_dead_units(model, make_rollout(device="cuda")) == 0.25
