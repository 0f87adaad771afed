"""Strided convolutions over groups of columns, and the first convolution over raw pixels.

A convolution with stride g along the width equals one with stride 1 over an image whose pixels are
groups of g neighboring columns, g times the channels deep, if g divides the kernel's and the
image's width. With channels innermost in memory that image is a mere view. The point is speed: few
channels suit matrix units badly. With 2 CPU cores (AMX, bfloat16) the backward pass of the Nature
network's first convolution takes half the time this way, that of the second 0.8 of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PIXEL_SCALE = 1.0 / 255.0


def strided_convolution(inputs: Tensor, layer: nn.Conv2d) -> Tensor:
    """Apply `layer` to `inputs` [N, C, H, W], over groups of columns where they fit."""
    if not _groups_fit(inputs, layer):
        return layer(inputs)
    group = layer.stride[1]
    return F.conv2d(
        _group_columns(inputs, group),
        _group_columns(layer.weight, group),
        layer.bias,
        stride=(layer.stride[0], 1),
    )


def pixel_convolution(pixels: Tensor, layer: nn.Conv2d) -> Tensor:
    """Apply `layer` to `pixels / 255`; `pixels` is [N, K, H, W] uint8.

    The division moves into the (much smaller) weights: pixels 0..255 are exact in bfloat16 as they
    are. The result has the dtype of the weights. Raises TypeError for other pixels.
    """
    if pixels.dtype != torch.uint8:
        raise TypeError(f"image networks take uint8 pixels 0..255, not {pixels.dtype}")
    weight = layer.weight * PIXEL_SCALE
    if layer.stride[1] != 4 or not _groups_fit(pixels, layer):
        inputs = pixels.to(weight.dtype, memory_format=torch.channels_last)
        return F.conv2d(inputs, weight, layer.bias, layer.stride, layer.padding)
    count, frames, height, width = pixels.shape
    # Four neighboring pixels move as one 32-bit word: channels come in the order (frame, column).
    rows = pixels if pixels.stride(3) == 1 else pixels.contiguous()
    words = rows.view(torch.int32).flatten(2).transpose(1, 2).contiguous()
    words = words.flatten(1)  # K = 1 leaves an innermost axis of another stride than view() wants
    inputs = words.view(torch.uint8).to(weight.dtype).view(count, height, width // 4, frames * 4)
    grouped = weight.unflatten(3, (-1, 4)).permute(0, 2, 3, 1, 4).flatten(3)
    return F.conv2d(
        inputs.permute(0, 3, 1, 2),
        grouped.permute(0, 3, 1, 2),
        layer.bias,
        stride=(layer.stride[0], 1),
    )


def flatten_channels_last(features: Tensor) -> Tensor:
    """Flatten [N, C, H, W] to [N, H * W * C]: a view where the channels are innermost."""
    return features.permute(0, 2, 3, 1).flatten(1)


def _groups_fit(inputs: Tensor, layer: nn.Conv2d) -> bool:
    group = layer.stride[1]
    fits = inputs.shape[3] % group == 0 and layer.kernel_size[1] % group == 0
    return group > 1 and fits and layer.padding == (0, 0)


def _group_columns(images: Tensor, group: int) -> Tensor:
    """View channels-last [N, C, H, W] as [N, group * C, H, W / group]."""
    count, channels, height, width = images.shape
    columns = images.permute(0, 2, 3, 1).reshape(count, height, width // group, group * channels)
    return columns.permute(0, 3, 1, 2)
