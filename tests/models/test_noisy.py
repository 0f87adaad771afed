"""Factorized noise: by the paper's formula, the same for all samples, redrawn only when asked."""

import pytest
import torch
import torch.nn.functional as F

from accel.learning import FlatParameters
from accel.models import build_q_network
from accel.models.noisy import NoisyLinear, draw_noise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_model(**arguments):
    torch.manual_seed(0)
    return build_q_network("mlp", (4,), 2, 3, hidden_size=8, noisy=True, **arguments)


def test_equals_the_papers_formula():
    torch.manual_seed(0)
    layers = [NoisyLinear(4, 3), NoisyLinear(3, 2)]
    draw_noise(layers, generator())
    normal = torch.randn(4 + 3 + 3 + 2, generator=generator())
    inputs = torch.randn(5, 4)
    for layer, start in zip(layers, (0, 7)):
        size_out, size_in = layer.weight.shape
        f = [x.sign() * x.abs().sqrt() for x in normal[start:]]
        expected = torch.zeros(len(inputs), size_out)
        for o in range(size_out):
            f_out = f[size_in + o]
            for i in range(size_in):
                weight = layer.weight[o, i] + layer.weight_sigma[o, i] * f[i] * f_out
                expected[:, o] += weight * inputs[:, i]
            expected[:, o] += layer.bias[o] + layer.bias_sigma[o] * f_out
        inputs = layer(inputs)
        torch.testing.assert_close(inputs, expected)


def test_initialization_is_the_papers():
    layer = NoisyLinear(100, 50)
    assert layer.weight.abs().max() <= 0.1 and layer.weight.std() > 0.05
    assert bool((layer.weight_sigma == 0.05).all()) and bool((layer.bias_sigma == 0.05).all())


def test_there_is_no_noise_before_the_first_draw_and_after_none():
    layer = NoisyLinear(4, 3)
    inputs = torch.randn(5, 4)
    expected = F.linear(inputs, layer.weight, layer.bias)
    assert torch.equal(layer(inputs), expected)
    draw_noise([layer], generator())
    assert not torch.allclose(layer(inputs), expected)
    draw_noise([layer], None)
    assert torch.equal(layer(inputs), expected)


def test_noise_stays_until_drawn_again_and_repeats_with_the_generators_state():
    model = make_model()
    observations = torch.randn(6, 2, 4)
    source = generator()
    model.draw_noise(source)
    state = source.get_state()
    first = model(observations).values
    assert torch.equal(model(observations).values, first)
    model.draw_noise(source)
    second = model(observations).values
    assert not torch.allclose(second, first)
    source.set_state(state)
    model.draw_noise(source)
    assert torch.equal(model(observations).values, second)
    # one noise for all samples
    torch.testing.assert_close(model(observations[2:3]).values, second[2:3])


@pytest.mark.parametrize("dueling", [False, True])
def test_all_layers_of_the_head_are_noisy_and_learn_their_noise(dueling):
    model = make_model(dueling=dueling)
    layers = [m for m in model.head.modules() if isinstance(m, NoisyLinear)]
    assert len(layers) == (4 if dueling else 2)
    assert not any(isinstance(m, torch.nn.Linear) for m in model.head.modules())
    flat = FlatParameters(model, torch.device("cpu"), "fp32")
    model.draw_noise(generator())
    flat.backward(model(torch.randn(6, 2, 4)).values.square().sum(), accumulate=False)
    by_name = dict(zip(flat.names, flat._gradient_views))
    for name, layer in model.head.named_modules():
        if isinstance(layer, NoisyLinear):
            noise_in, noise_out = layer.noise.split(tuple(layer.weight.shape[::-1]))
            expected = by_name[f"head.{name}.weight"] * torch.outer(noise_out, noise_in)
            torch.testing.assert_close(by_name[f"head.{name}.weight_sigma"], expected)
            assert bool(expected.any())


def test_flat_parameters_hold_the_noisy_weights():
    model = make_model()
    flat = FlatParameters(model, torch.device("cpu"), "fp32")
    assert not any("noise" in name for name in flat.state_dict())
    model.draw_noise(generator())
    before = model(torch.ones(1, 2, 4)).values
    flat.master.mul_(2)
    assert not torch.allclose(model(torch.ones(1, 2, 4)).values, before)


def test_plain_networks_take_no_noise():
    torch.manual_seed(0)
    model = build_q_network("mlp", (4,), 2, 3, hidden_size=8)
    observations = torch.randn(6, 2, 4)
    before = model(observations).values
    source = generator()
    model.draw_noise(source)
    assert torch.equal(model(observations).values, before)
    assert torch.equal(source.get_state(), generator().get_state())


@pytest.mark.gpu
def test_the_gpu_has_the_same_noise():
    outputs = []
    for device in ("cpu", "cuda"):
        model = make_model(head="quantile", num_outputs=5)
        FlatParameters(model, torch.device(device), "fp32")
        model.draw_noise(generator())
        output = model(torch.ones(3, 2, 4, device=device))
        assert output.values.device.type == output.taus.device.type == device
        outputs.append(output.values.cpu())
    torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-4)
