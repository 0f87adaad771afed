"""Linear layers whose weights carry noise of a learned size: exploration without epsilon."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

SIGMA_0 = 0.5  # Fortunato et al. 2018, section 3.2


class NoisyLinear(nn.Module):
    """A linear layer with factorized Gaussian noise (Fortunato et al. 2018, section 3).

    Weights are mu + sigma * f(e_out) f(e_in)^T and biases mu + sigma * f(e_out), with e standard
    normal and f(x) = sign(x) sqrt(|x|). One noise serves all samples until it is drawn again; there
    is none before the first time. It is no part of a saved model: who draws it saves the generator.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_features).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full_like(self.weight, SIGMA_0 * bound))
        self.bias_sigma = nn.Parameter(torch.full_like(self.bias, SIGMA_0 * bound))
        # f(e_in), then f(e_out)
        self.register_buffer("noise", torch.zeros(in_features + out_features), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        out_features, in_features = self.weight.shape
        noise_in, noise_out = self.noise.split((in_features, out_features))
        weight = torch.addcmul(self.weight, self.weight_sigma, torch.outer(noise_out, noise_in))
        return F.linear(inputs, weight, torch.addcmul(self.bias, self.bias_sigma, noise_out))


def draw_noise(layers: Sequence[NoisyLinear], generator: Generator | None) -> None:
    """Give all `layers` new noise from `generator` (on the CPU); None: no noise, the mean weights.

    The numbers are the same on every device. Nothing waits for a GPU.
    """
    if generator is None or not layers:
        for layer in layers:
            layer.noise.zero_()
        return
    sizes = [len(layer.noise) for layer in layers]
    normal = torch.randn(sum(sizes), generator=generator)
    noise = normal.sign() * normal.abs().sqrt()
    if layers[0].noise.is_cuda:  # from pinned memory a copy does not wait for the GPU
        noise = noise.pin_memory()
    for layer, part in zip(layers, noise.split(sizes)):
        layer.noise.copy_(part, non_blocking=True)
