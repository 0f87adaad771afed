"""Recurrent cores are torch's LSTM and GRU, but that they can forget in the midst of a sequence."""

import pytest
import torch
from torch import nn

from accel.models import build_model, build_q_network
from accel.models.core import GRU, LSTM, build_core

T, B, F, SIZE = 7, 3, 5, 4
NO_STARTS = torch.zeros(T, B, dtype=torch.bool)
NUM_PARTS = {"lstm": 2, "gru": 1}


def make_model(kind, core, **arguments):
    torch.manual_seed(0)
    build = build_model if kind == "actor_critic" else build_q_network
    return build("mlp", (4,), 2, 3, 16, core=core, core_size=SIZE, **arguments)


def random_starts(seed=0):
    generator = torch.Generator().manual_seed(seed)
    starts = torch.rand(T, B, generator=generator) < 0.3
    assert starts[0].any() and starts[1:].any() and not starts.all()
    return starts


def test_lstm_is_torchs():
    torch.manual_seed(0)
    ours, theirs = LSTM(F, SIZE), nn.LSTM(F, SIZE)

    def reorder(gates):  # torch has the cell's input before the output gate
        enter, forget, leave, cell = gates.detach().chunk(4)
        return nn.Parameter(torch.cat((enter, forget, cell, leave)))

    theirs.weight_ih_l0, theirs.bias_ih_l0 = reorder(ours.input.weight), reorder(ours.input.bias)
    theirs.weight_hh_l0 = reorder(ours.recurrent.weight)
    theirs.bias_hh_l0 = reorder(ours.recurrent.bias)
    features, state = torch.randn(T, B, F), torch.randn(B, 2 * SIZE)
    outputs, after = ours(features.flatten(0, 1), state, NO_STARTS)
    hidden, cell = (part.unsqueeze(0).contiguous() for part in state.chunk(2, 1))
    expected, (hidden, cell) = theirs(features, (hidden, cell))
    torch.testing.assert_close(outputs, expected.flatten(0, 1))
    torch.testing.assert_close(after, torch.cat((hidden[0], cell[0]), 1))
    gradient = torch.autograd.grad(outputs.square().sum(), ours.recurrent.weight)[0]
    reference = torch.autograd.grad(expected.square().sum(), theirs.weight_hh_l0)[0]
    torch.testing.assert_close(reorder(gradient).detach(), reference, rtol=1e-4, atol=1e-6)


def test_gru_is_torchs():
    torch.manual_seed(0)
    ours, theirs = GRU(F, SIZE), nn.GRU(F, SIZE)
    theirs.weight_ih_l0, theirs.bias_ih_l0 = ours.input.weight, ours.input.bias
    theirs.weight_hh_l0, theirs.bias_hh_l0 = ours.recurrent.weight, ours.recurrent.bias
    features, state = torch.randn(T, B, F), torch.randn(B, SIZE)
    outputs, after = ours(features.flatten(0, 1), state, NO_STARTS)
    expected, hidden = theirs(features, state.unsqueeze(0))
    torch.testing.assert_close(outputs, expected.flatten(0, 1))
    torch.testing.assert_close(after, hidden[0])
    weights = (ours.input.weight, ours.recurrent.weight, ours.recurrent.bias)
    for gradient, reference in zip(
        torch.autograd.grad(outputs.square().sum(), weights, retain_graph=True),
        torch.autograd.grad(expected.square().sum(), weights),
    ):
        torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["actor_critic", "q_network"])
@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_a_sequence_equals_its_steps(kind, core):
    model = make_model(kind, core)
    assert model.state_size == NUM_PARTS[core] * SIZE
    observations, starts = torch.randn(T, B, 2, 4), random_starts()
    state = first = torch.randn(B, model.state_size)
    answers = []
    for t in range(T):
        answer, state = model.step(observations[t], torch.where(starts[t, :, None], 0.0, state))
        answers.append(answer[0])
    whole, last = model.unroll(observations, first, starts)
    torch.testing.assert_close(whole[0], torch.cat(answers))
    torch.testing.assert_close(last, state)


@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_an_episode_knows_nothing_of_what_came_before(core):
    model = make_model("actor_critic", core)
    observations, state = torch.randn(T, B, 2, 4), torch.randn(B, model.state_size)
    starts = NO_STARTS.clone()
    starts[4, 1] = True
    values = model.unroll(observations, state, starts)[0].values.view(T, B)
    without = model.unroll(observations, state, NO_STARTS)[0].values.view(T, B)
    fresh, _ = model.unroll(observations[4:], torch.zeros_like(state), NO_STARTS[4:])
    fresh = fresh.values.view(3, B)
    torch.testing.assert_close(values[4:, 1], fresh[:, 1])
    assert not torch.allclose(without[4:, 1], fresh[:, 1])
    torch.testing.assert_close(values[:4], without[:4])
    torch.testing.assert_close(values[4:, [0, 2]], without[4:, [0, 2]])
    # and no gradient flows over the start either
    observations.requires_grad_()
    values = model.unroll(observations, state, starts)[0].values.view(T, B)
    (gradient,) = torch.autograd.grad(values[4:, 1].sum(), observations)
    assert not gradient[:4].any() and gradient[4:, 1].any()


@pytest.mark.parametrize("kind", ["actor_critic", "q_network"])
def test_without_a_core_a_sequence_is_its_observations(kind):
    model = make_model(kind, "none")
    assert model.state_size == 0
    observations, state = torch.randn(T, B, 2, 4), torch.zeros(B, 0)
    output, after = model.unroll(observations, state, random_starts())
    assert torch.equal(output[0], model(observations.flatten(0, 1))[0])
    assert after is state


def test_a_recurrent_network_is_not_called_without_its_state():
    with pytest.raises(TypeError, match="step or unroll"):
        make_model("actor_critic", "lstm")(torch.randn(1, 2, 4))


def test_a_core_stands_between_the_torsos_last_layer_and_the_heads_own():
    """Kapturowski et al. 2019, section 2.3: convolutions, LSTM, dueling streams."""
    model = make_model("q_network", "lstm", dueling=True, head="implicit", num_outputs=6)
    assert model.core.input.in_features == 16 and model.torso.linear2 is not None
    assert model.head.values.hidden.in_features == SIZE
    taus = torch.rand(T * B, 9)
    observations, state = torch.randn(T, B, 2, 4), torch.zeros(B, 2 * SIZE)
    output, _ = model.unroll(observations, state, NO_STARTS, taus)
    assert output.values.shape == (T * B, 3, 9) and torch.equal(output.taus, taus)


def test_orthogonal_initialization_of_a_core():
    core = make_model("actor_critic", "gru").core
    rows = core.input.weight @ core.input.weight.T  # 12 gates, 16 features
    torch.testing.assert_close(rows, torch.eye(12), rtol=0, atol=1e-4)
    columns = core.recurrent.weight.T @ core.recurrent.weight
    torch.testing.assert_close(columns, torch.eye(SIZE), rtol=0, atol=1e-4)
    assert not core.input.bias.any() and not core.recurrent.bias.any()


def test_a_core_is_always_float32():
    model = build_model("small_cnn", (36, 36), 2, 4, 16, core="gru", core_size=SIZE)
    names = [name for name, _ in model.low_precision_parameters()]
    assert names and not any("core" in name for name in names)


def test_wrong_arguments_name_the_choices():
    with pytest.raises(ValueError, match="none, lstm, gru"):
        build_core("rnn", 4, 4)
    with pytest.raises(ValueError, match="separate_critic"):
        make_model("actor_critic", "lstm", separate_critic=True)
