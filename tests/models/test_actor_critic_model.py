"""Shapes, scaling and initialization of the networks."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from accel.models import build_model

SCREENS = [(84, 84), (104, 80)]


def pixels(num_observations, screen, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (num_observations, 4, *screen)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("separate_critic", [False, True])
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", ["nature_cnn", "impala_cnn"])
def test_image_networks_map_stacks_to_logits_and_values(name, screen, separate_critic):
    model = build_model(name, screen, 4, 6, hidden_size=32, separate_critic=separate_critic)
    logits, values = model(pixels(3, screen))
    assert logits.shape == (3, 6) and logits.dtype == torch.float32
    assert values.shape == (3,) and values.dtype == torch.float32


def test_mlp_flattens_the_stack():
    model = build_model("mlp", (4,), 2, 3, hidden_size=64, separate_critic=True)
    logits, values = model(torch.randn(5, 2, 4))
    assert logits.shape == (5, 3) and values.shape == (5,)
    assert list(model.low_precision_parameters()) == []


@pytest.mark.parametrize("screen", SCREENS)
def test_nature_torso_equals_the_plain_network_on_scaled_pixels(screen):
    torch.manual_seed(0)
    torso = build_model("nature_cnn", screen, 4, 6, hidden_size=32, initialization="default").torso
    observations = pixels(2, screen)
    convolutions = nn.Sequential(
        torso.conv1, nn.ReLU(), torso.conv2, nn.ReLU(), torso.conv3, nn.ReLU()
    )
    features = convolutions(observations / 255).permute(0, 2, 3, 1).flatten(1)
    expected = F.relu(torso.linear(features))
    torch.testing.assert_close(torso(observations), expected, rtol=1e-4, atol=1e-5)
    parameters = list(torso.parameters())
    gradients = torch.autograd.grad(torso(observations).square().sum(), parameters)
    for gradient, reference in zip(
        gradients, torch.autograd.grad(expected.square().sum(), parameters)
    ):
        torch.testing.assert_close(gradient, reference, rtol=1e-3, atol=1e-5)


def test_impala_torso_equals_the_plain_network_on_scaled_pixels():
    torch.manual_seed(0)
    torso = build_model("impala_cnn", (84, 84), 4, 6, 32, initialization="default").torso
    observations = pixels(2, (84, 84))
    hidden = observations / 255
    for stage in torso.stages:
        hidden = F.max_pool2d(stage["convolution"](hidden), 3, 2, 1)
        for block in stage["blocks"]:
            hidden = hidden + block.conv2(F.relu(block.conv1(F.relu(hidden))))
    expected = F.relu(torso.linear(F.relu(hidden).permute(0, 2, 3, 1).flatten(1)))
    torch.testing.assert_close(torso(observations), expected, rtol=1e-4, atol=1e-5)


def test_parameter_count_is_the_papers():
    model = build_model("nature_cnn", (84, 84), 4, 18, hidden_size=512)
    # Mnih et al. 2015 with 18 actions: 1,693,362; here plus a value head of 513.
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_693_362 + 513


def test_orthogonal_initialization_has_the_reference_gains():
    model = build_model("nature_cnn", (84, 84), 4, 6, hidden_size=64)

    def gram(layer):
        rows = layer.weight.detach().flatten(1)
        return rows @ rows.T

    torch.testing.assert_close(gram(model.torso.conv2), 2 * torch.eye(64), rtol=0, atol=1e-4)
    torch.testing.assert_close(gram(model.torso.linear), 2 * torch.eye(64), rtol=0, atol=1e-4)
    torch.testing.assert_close(gram(model.policy_head), 1e-4 * torch.eye(6), rtol=0, atol=1e-6)
    torch.testing.assert_close(gram(model.value_head), torch.eye(1), rtol=0, atol=1e-4)
    assert all(not layer.bias.any() for layer in (model.torso.conv1, model.policy_head))


def test_convolution_weights_have_channels_innermost():
    model = build_model("impala_cnn", (84, 84), 4, 6, hidden_size=16)
    for parameter in model.parameters():
        if parameter.dim() == 4:
            assert parameter.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet", (84, 84), 4, 6, 32), "nature_cnn, impala_cnn, mlp"),
        (("nature_cnn", (30, 30), 4, 6, 32), "too small"),
        (("nature_cnn", (4,), 4, 6, 32), "height, width"),
        (("mlp", (4,), 1, 2, 32, False, False, "xavier"), "orthogonal, default"),
    ],
)
def test_wrong_arguments_name_the_choices(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_model(*arguments)
