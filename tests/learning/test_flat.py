"""Flat parameters: real views, kept strides, float32 masters, portable state."""

import pytest
import torch

from accel.learning import FlatParameters
from accel.learning.flat import ALIGNMENT


def flatten(model, precision="fp32"):
    return FlatParameters(model, torch.device("cpu"), precision)


@pytest.mark.parametrize("name", ["nature_cnn", "impala_cnn", "mlp"])
def test_parameters_are_views_of_the_master(make_model, name):
    model = make_model(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    strides = {key: value.stride() for key, value in model.named_parameters()}
    flat = flatten(model)
    storage = flat.master.untyped_storage().data_ptr()
    for key, parameter in model.named_parameters():
        assert parameter.untyped_storage().data_ptr() == storage
        assert parameter.stride() == strides[key]
        assert parameter.storage_offset() % ALIGNMENT == 0
        assert torch.equal(parameter, before[key])
    flat.master.fill_(0.5)
    assert all(bool((parameter == 0.5).all()) for parameter in model.parameters())


def test_bfloat16_torso_and_float32_heads(make_model):
    model = make_model(separate_critic=True)
    flat = flatten(model, "bf16")
    for key, parameter in model.named_parameters():
        expected = torch.bfloat16 if "torso" in key else torch.float32
        assert parameter.dtype == expected, key
    flat.master.fill_(1.0)
    flat.refresh()
    assert all(bool((parameter == 1).all()) for parameter in model.parameters())


def test_bfloat16_never_touches_an_mlp(make_model):
    model = make_model("mlp")
    flatten(model, "bf16")
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_arrive_in_float32_at_the_parameters_place(make_model, precision):
    model = make_model()
    flat = flatten(model, precision)
    observations = torch.randint(0, 256, (3, 2, 36, 36), dtype=torch.uint8)

    def loss():
        logits, values = model(observations)
        return logits.square().sum() + values.square().sum()

    expected = dict(
        zip(dict(model.named_parameters()), torch.autograd.grad(loss(), [*model.parameters()]))
    )
    flat.backward(loss(), accumulate=False)
    once = flat.gradient.clone()
    flat.backward(loss(), accumulate=True)
    torch.testing.assert_close(flat.gradient, 2 * once)
    # A step of minus the gradient must move each master weight by its own parameter's gradient.
    weights = flat.state_dict()
    flat.master.sub_(once)
    for name, weight in flat.state_dict().items():
        moved = weights[name] - weight
        torch.testing.assert_close(moved, expected[name].float(), rtol=1e-3, atol=1e-3)


def test_state_moves_between_precisions_and_plain_models(make_model):
    model = make_model()
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    state = flatten(model, "bf16").state_dict()
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[key], weights[key]) for key in weights)
    plain = make_model()
    plain.load_state_dict(state)
    other = flatten(make_model(), "fp32")
    other.master.zero_()
    other.load_state_dict(state)
    assert all(torch.equal(value, weights[key]) for key, value in other.state_dict().items())


def test_state_of_another_model_is_refused(make_model):
    state = flatten(make_model("mlp")).state_dict()
    with pytest.raises(ValueError, match=r"torso\.conv1\.weight"):
        flatten(make_model()).load_state_dict(state)
