"""Torsos: stacked frames [N, K, *frame] to features [N, F].

`low_precision` says whether a torso may hold bfloat16 weights. Image torsos may: integer pixels
0..255 are exact in bfloat16. A vector torso may not: physical states need float32. `is_rectified`
says whether its features come from ReLUs.

With `layer_norm` every layer's output is normalized over its features (an image's: over the
channels of each pixel) before the nonlinearity, as PQN does (Gallici et al. 2024, section 3).

The last linear layer reads an image's features as (row, column, channel), channels innermost.
Without `last_layer` a torso ends before it, in so many more features: for heads that have a hidden
layer of their own in its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from accel.models.convolution import (
    flatten_channels_last,
    pixel_convolution,
    strided_convolution,
)


class ImageTorso(nn.Module):
    """Convolutions, then the last layer over all of their outputs.

    Takes [N, K, H, W] uint8, returns [N, hidden_size] in the weights' dtype; without the last
    layer, the convolutions' outputs [N, H' * W' * C].
    """

    low_precision = True
    is_rectified = True
    norms: nn.ModuleList
    linear: nn.Linear | None

    def convolve(self, observations: Tensor) -> Tensor:
        """Turn [N, K, H, W] uint8 into [N, C, H', W'], rectified."""
        raise NotImplementedError

    def forward(self, observations: Tensor) -> Tensor:
        features = flatten_channels_last(self.convolve(observations))
        if self.linear is None:
            return features
        return F.relu(self.norms[-1](self.linear(features)))


class NatureTorso(ImageTorso):
    """The three-convolution network of Mnih et al. 2015 (Nature 518), without padding."""

    def __init__(
        self,
        frame_shape: tuple[int, ...],
        frame_stack: int,
        hidden_size: int,
        layer_norm: bool = False,
        last_layer: bool = True,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(frame_stack, 32, kernel_size=8, stride=4)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=4, stride=2)
        self.conv3 = nn.Conv2d(64, 64, kernel_size=3, stride=1)
        height, width = convolved_shape("nature_cnn", frame_shape, ((8, 4), (4, 2), (3, 1)))
        self.linear, self.num_features = _last_layer(64 * height * width, hidden_size, last_layer)
        self.norms = _norms((32, 64, 64, hidden_size), layer_norm, last_layer)

    def convolve(self, observations: Tensor) -> Tensor:
        norm1, norm2, norm3, *_ = self.norms
        features = F.relu(_per_pixel(norm1, pixel_convolution(observations, self.conv1)))
        features = F.relu(_per_pixel(norm2, strided_convolution(features, self.conv2)))
        return F.relu(_per_pixel(norm3, self.conv3(features)))


class SmallTorso(ImageTorso):
    """The two-convolution network of Mnih et al. 2013 and 2016 (A3C), without padding.

    The papers' hidden_size is 256. A third of the Nature network's arithmetic, and enough for the
    simple games.
    """

    def __init__(
        self,
        frame_shape: tuple[int, ...],
        frame_stack: int,
        hidden_size: int,
        layer_norm: bool = False,
        last_layer: bool = True,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(frame_stack, 16, kernel_size=8, stride=4)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=4, stride=2)
        height, width = convolved_shape("small_cnn", frame_shape, ((8, 4), (4, 2)))
        self.linear, self.num_features = _last_layer(32 * height * width, hidden_size, last_layer)
        self.norms = _norms((16, 32, hidden_size), layer_norm, last_layer)

    def convolve(self, observations: Tensor) -> Tensor:
        norm1, norm2, *_ = self.norms
        features = F.relu(_per_pixel(norm1, pixel_convolution(observations, self.conv1)))
        return F.relu(_per_pixel(norm2, strided_convolution(features, self.conv2)))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to their input: [N, C, H, W] to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.relu(self.conv1(F.relu(inputs)))
        return inputs + self.conv2(hidden)


class ImpalaTorso(ImageTorso):
    """The residual network of Espeholt et al. 2018 (IMPALA, figure 3), 16/32/32 channels.

    The paper's hidden_size is 256.
    """

    channels = (16, 32, 32)

    def __init__(
        self,
        frame_shape: tuple[int, ...],
        frame_stack: int,
        hidden_size: int,
        layer_norm: bool = False,
        last_layer: bool = True,
    ) -> None:
        super().__init__()
        height, width = image_shape(frame_shape)
        stages = []
        in_channels = frame_stack
        for channels in self.channels:
            convolution = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)
            blocks = nn.Sequential(ResidualBlock(channels), ResidualBlock(channels))
            stages.append(nn.ModuleDict({"convolution": convolution, "blocks": blocks}))
            in_channels = channels
            height, width = (height + 1) // 2, (width + 1) // 2
        self.stages = nn.ModuleList(stages)
        self.linear, self.num_features = _last_layer(
            in_channels * height * width, hidden_size, last_layer
        )
        self.norms = _norms((*self.channels, hidden_size), layer_norm, last_layer)

    def convolve(self, observations: Tensor) -> Tensor:
        features = observations
        for index, (stage, norm) in enumerate(zip(self.stages, self.norms)):
            convolution = stage["convolution"]
            if index == 0:
                features = pixel_convolution(features, convolution)
            else:
                features = convolution(features)
            features = _per_pixel(norm, features)
            features = F.max_pool2d(features, kernel_size=3, stride=2, padding=1)
            features = stage["blocks"](features)
        return F.relu(features)


class MlpTorso(nn.Module):
    """Two tanh layers for vector observations, as in CleanRL's `ppo.py` (64 x 64 there).

    Takes [N, K, *frame] of any dtype and returns [N, hidden_size] float32.
    """

    low_precision = False
    is_rectified = False

    def __init__(
        self,
        frame_shape: tuple[int, ...],
        frame_stack: int,
        hidden_size: int,
        layer_norm: bool = False,
        last_layer: bool = True,
    ) -> None:
        super().__init__()
        self.linear1 = nn.Linear(frame_stack * math.prod(frame_shape), hidden_size)
        self.linear2, self.num_features = _last_layer(hidden_size, hidden_size, last_layer)
        self.norms = _norms((hidden_size, hidden_size), layer_norm, last_layer)

    def forward(self, observations: Tensor) -> Tensor:
        hidden = torch.tanh(self.norms[0](self.linear1(observations.flatten(1).float())))
        if self.linear2 is None:
            return hidden
        return torch.tanh(self.norms[1](self.linear2(hidden)))


def _last_layer(num_inputs: int, hidden_size: int, wanted: bool) -> tuple[nn.Linear | None, int]:
    """The last linear layer, if it is wanted, and the number of the torso's features."""
    if not wanted:
        return None, num_inputs
    return nn.Linear(num_inputs, hidden_size), hidden_size


def _norms(sizes: Sequence[int], layer_norm: bool, last_layer: bool) -> nn.ModuleList:
    """A normalization for each layer of so many features, or nothing in its place."""
    sizes = sizes if last_layer else sizes[:-1]
    return nn.ModuleList(nn.LayerNorm(size) if layer_norm else nn.Identity() for size in sizes)


def _per_pixel(norm: nn.Module, images: Tensor) -> Tensor:
    """Apply `norm` to the channels of each pixel of [N, C, H, W]: views, where C is innermost."""
    if isinstance(norm, nn.Identity):
        return images
    return norm(images.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def image_shape(frame_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (height, width), or raise ValueError where a frame is not one gray image."""
    if len(frame_shape) != 2:
        raise ValueError(f"an image network needs frames (height, width), not {frame_shape}")
    return frame_shape[0], frame_shape[1]


def convolved_shape(
    name: str, frame_shape: tuple[int, ...], layers: Sequence[tuple[int, int]]
) -> tuple[int, int]:
    """Return (height, width) after unpadded convolutions given as (kernel, stride).

    Raises ValueError where nothing would be left of the frame.
    """
    height, width = image_shape(frame_shape)
    for kernel, stride in layers:
        height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    if min(height, width) < 1:
        raise ValueError(f"{name}: a frame of {frame_shape} is too small for its convolutions")
    return height, width


Torso = SmallTorso | NatureTorso | ImpalaTorso | MlpTorso

TORSOS: dict[str, type[Torso]] = {
    "small_cnn": SmallTorso,
    "nature_cnn": NatureTorso,
    "impala_cnn": ImpalaTorso,
    "mlp": MlpTorso,
}
