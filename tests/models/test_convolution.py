"""Convolutions over grouped columns equal the plain layer, forward and backward."""

import pytest
import torch
from torch import nn

from accel.models.convolution import pixel_convolution, strided_convolution

SHAPES = [
    # in, kernel, stride, padding, height, width
    (4, 8, 4, 0, 20, 16),
    (1, 8, 4, 0, 20, 16),  # one frame
    (4, 4, 2, 0, 9, 10),
    (4, 4, 2, 0, 9, 19),  # 2 does not divide the width
    (4, 3, 2, 0, 9, 10),  # nor 2 the kernel
    (4, 8, 4, 2, 20, 16),  # padding
    (2, 3, 1, 1, 8, 8),  # nothing to group
]


def make_layer(channels, kernel, stride, padding):
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, 8, kernel, stride=stride, padding=padding)
    return layer.to(memory_format=torch.channels_last)


def gradients(output, tensors):
    return torch.autograd.grad(output.square().sum(), tensors)


@pytest.mark.parametrize("shape", SHAPES)
def test_strided_convolution(shape):
    channels, kernel, stride, padding, height, width = shape
    layer = make_layer(channels, kernel, stride, padding)
    inputs = torch.randn(3, channels, height, width, requires_grad=True)
    tensors = [inputs, layer.weight, layer.bias]
    torch.testing.assert_close(strided_convolution(inputs, layer), layer(inputs))
    actual = gradients(strided_convolution(inputs, layer), tensors)
    for gradient, expected in zip(actual, gradients(layer(inputs), tensors)):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_pixel_convolution(shape):
    channels, kernel, stride, padding, height, width = shape
    layer = make_layer(channels, kernel, stride, padding)
    pixels = torch.randint(0, 256, (3, channels, height, width), dtype=torch.uint8)
    expected = layer(pixels / 255)
    actual = pixel_convolution(pixels, layer)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    tensors = [layer.weight, layer.bias]
    for gradient, reference in zip(gradients(actual, tensors), gradients(expected, tensors)):
        torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-4)


def test_only_bytes_are_pixels():
    with pytest.raises(TypeError, match="uint8"):
        pixel_convolution(torch.rand(1, 4, 20, 16), make_layer(4, 8, 4, 0))


@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_may_be_a_view(shape):
    """Of a rollout [time, env, row, column], as the actor passes them."""
    channels, kernel, stride, padding, height, width = shape
    layer = make_layer(channels, kernel, stride, padding)
    rollout = torch.randint(0, 256, (channels + 2, 5, height, width), dtype=torch.uint8)
    view = rollout[1 : 1 + channels, 1:4].transpose(0, 1)
    assert torch.equal(pixel_convolution(view, layer), pixel_convolution(view.contiguous(), layer))
    turned = view.transpose(2, 3).contiguous().transpose(2, 3)  # columns not innermost
    assert torch.equal(
        pixel_convolution(turned, layer), pixel_convolution(view.contiguous(), layer)
    )
