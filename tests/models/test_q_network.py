"""Q-networks: shapes of every head, dueling streams, quantile fractions, the papers' sizes."""

import math

import pytest
import torch
import torch.nn.functional as F

from accel.models import build_q_network

M = 5
KINDS = {"expected": 1, "categorical": M, "quantile": M, "implicit": M}


def make_model(name="mlp", shape=(4,), num_actions=3, hidden_size=16, **arguments):
    torch.manual_seed(0)
    return build_q_network(name, shape, 2, num_actions, hidden_size, **arguments)


def pixels(num_observations, shape=(36, 36)):
    return torch.randint(0, 256, (num_observations, 2, *shape), dtype=torch.uint8)


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("head", KINDS)
@pytest.mark.parametrize("name", ["nature_cnn", "small_cnn", "impala_cnn", "mlp"])
def test_every_head_on_every_torso(name, head, dueling, noisy):
    shape = (4,) if name == "mlp" else (36, 36)
    model = make_model(
        name, shape, head=head, num_outputs=KINDS[head], dueling=dueling, noisy=noisy,
        layer_norm=True,
    )  # fmt: skip
    output = model(torch.randn(7, 2, 4) if name == "mlp" else pixels(7))
    assert output.values.shape == (7, 3, KINDS[head]) and output.values.dtype == torch.float32
    if head in ("quantile", "implicit"):
        assert output.taus.shape == (7, M) and output.taus.dtype == torch.float32
    else:
        assert output.taus is None
    # Every parameter takes part: a learner asks for all gradients.
    gradients = torch.autograd.grad(output.values.square().sum(), list(model.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("head", KINDS)
@pytest.mark.parametrize("name", ["nature_cnn", "small_cnn", "impala_cnn", "mlp"])
def test_a_batch_without_observations(name, head, dueling):
    """A rank that holds no sample of a small batch still adds its gradient, of zeros."""
    shape = (4,) if name == "mlp" else (36, 36)
    model = make_model(name, shape, head=head, num_outputs=KINDS[head], dueling=dueling)
    output = model(torch.randn(0, 2, 4) if name == "mlp" else pixels(0))
    assert output.values.shape == (0, 3, KINDS[head])
    gradients = torch.autograd.grad(output.values.sum(), list(model.parameters()))
    assert all(not gradient.any() for gradient in gradients)


@pytest.mark.parametrize("head", ["expected", "categorical", "quantile"])
def test_dueling_streams_add_up_with_advantages_of_mean_zero(head):
    model = make_model(head=head, num_outputs=KINDS[head], dueling=True)
    observations = torch.randn(7, 2, 4)
    features = model.torso(observations)
    value = model.head.baseline(features)  # [n, M]
    advantage = model.head.values(features).view(7, 3, -1)
    actual = model(observations).values
    torch.testing.assert_close(actual.mean(1), value)
    for a in range(3):
        mean = (advantage[:, 0] + advantage[:, 1] + advantage[:, 2]) / 3
        torch.testing.assert_close(actual[:, a], value + advantage[:, a] - mean)


def test_quantiles_are_at_the_midpoints():
    taus = make_model(head="quantile", num_outputs=4)(torch.randn(2, 2, 4)).taus
    assert torch.equal(taus, torch.tensor([[0.125, 0.375, 0.625, 0.875]]).expand(2, 4))


def test_implicit_quantiles_follow_the_papers_equation():
    model = make_model(head="implicit", num_outputs=M)
    observations = torch.randn(2, 2, 4)
    taus = torch.rand(2, 6)
    output = model(observations, taus)
    assert torch.equal(output.taus, taus)
    for n in range(2):
        features = model.torso(observations[n : n + 1])[0]
        for j in range(6):
            cosines = torch.tensor([math.cos(math.pi * i * taus[n, j]) for i in range(64)])
            embedded = F.relu(model.head.embedding.weight @ cosines + model.head.embedding.bias)
            expected = model.head.values(features * embedded)
            torch.testing.assert_close(output.values[n, :, j], expected, rtol=1e-4, atol=1e-5)


def test_without_fractions_an_implicit_head_is_read_at_the_midpoints():
    model = make_model(head="implicit", num_outputs=4)
    observations = torch.randn(3, 2, 4)
    midpoints = torch.tensor([[0.125, 0.375, 0.625, 0.875]]).expand(3, 4)
    plain, explicit = model(observations), model(observations, midpoints)
    assert torch.equal(plain.taus, midpoints)
    torch.testing.assert_close(plain.values, explicit.values)


def test_sizes_are_the_papers():
    """Nature convolutions of 84 x 84 x 4, and 18 actions."""
    convolutions = 4 * 32 * 64 + 32 + 32 * 64 * 16 + 64 + 64 * 64 * 9 + 64

    def size(**arguments):
        model = build_q_network("nature_cnn", (84, 84), 4, 18, 512, **arguments)
        return sum(parameter.numel() for parameter in model.parameters())

    def layer(num_inputs, num_outputs):
        return (num_inputs + 1) * num_outputs

    hidden = layer(3136, 512)
    assert size() == convolutions + hidden + layer(512, 18) == 1_693_362  # Mnih et al. 2015
    # Wang et al. 2016, section 4.2: each stream has a hidden layer of 512 units.
    assert size(dueling=True) == convolutions + 2 * hidden + layer(512, 18) + layer(512, 1)
    # Rainbow: the same with 51 atoms, and a sigma for each weight of the streams.
    streams = 2 * hidden + layer(512, 18 * 51) + layer(512, 51)
    rainbow = size(head="categorical", num_outputs=51, dueling=True, noisy=True)
    assert rainbow == convolutions + 2 * streams
    # Dabney et al. 2018b: DQN and an embedding of 64 cosines as wide as the convolutions' output.
    assert size(head="implicit", num_outputs=32) == 1_693_362 + layer(64, 3136)


def test_orthogonal_initialization_tells_hidden_layers_from_outputs():
    model = make_model(dueling=True)
    hidden, output = model.head.values.hidden.weight, model.head.values.output.weight
    torch.testing.assert_close(hidden @ hidden.T, 2 * torch.eye(16), rtol=0, atol=1e-4)
    torch.testing.assert_close(output @ output.T, torch.eye(3), rtol=0, atol=1e-4)


@pytest.mark.parametrize("head", ["expected", "implicit"])
def test_only_the_torso_may_be_of_low_precision(head):
    model = make_model("small_cnn", (36, 36), head=head, num_outputs=KINDS[head], dueling=True)
    names = [name for name, _ in model.low_precision_parameters()]
    assert names and all(name.startswith("torso.") for name in names)
    assert not any("linear" in name for name in names)  # the last hidden layer is the head's


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet"}, "nature_cnn, impala_cnn, mlp"),
        ({"head": "gaussian"}, "expected, categorical, quantile, implicit"),
        ({"num_outputs": 51}, "num_outputs=51: an expected head has 1"),
        ({"head": "quantile", "num_outputs": 0}, "num_outputs=0"),
    ],
)
def test_wrong_arguments_name_the_choices(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_model(**arguments)
