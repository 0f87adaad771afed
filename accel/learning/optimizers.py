"""Optimizers on one flat tensor.

Settings do not carry over between libraries. Adam here is torch's: epsilon is added to the root of
the *corrected* second moment; Lasagne (accel_rl) added it to the uncorrected one, so that its large
epsilons act differently during the first thousand updates.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Protocol

import torch
from torch import Tensor

# Elements that several passes can go over without leaving the cores' caches; fewer cost more in
# waking threads for every pass than they save.
CPU_CHUNK = 1 << 17

# What an optimizer remembers of each parameter, [P] float32.
MOMENTS = {"adam": ("exp_avg", "exp_avg_sq"), "rmsprop": ("mean_square",)}


class Optimizer(Protocol):
    """Steps one flat parameter tensor in place."""

    def step(self, gradient: Tensor, learning_rate: float | Tensor) -> None:
        """Step against `gradient` [P] float32; a learning rate [] float64 is read by the device."""

    def state_dict(self) -> dict[str, Any]:
        """Return all state."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""


class Adam:
    """Adam (Kingma and Ba 2015) through torch's fused kernel: one pass over the memory."""

    def __init__(
        self,
        parameters: Tensor,
        epsilon: float,
        betas: tuple[float, float] = (0.9, 0.999),
        state: Mapping[str, Tensor] | None = None,
    ) -> None:
        """`state`: where to keep `step` [] and `MOMENTS["adam"]` [P] float32, in place."""
        self._parameter = torch.nn.Parameter(parameters)
        self._state = state
        self._adam = torch.optim.Adam(
            [self._parameter],
            lr=0.0,
            betas=betas,
            eps=epsilon,
            fused=True,
            capturable=parameters.is_cuda,  # in a CUDA graph
        )
        # Torch would warn of capturable steps outside of a graph, as those before a recording are.
        self._adam._warned_capturable_if_run_uncaptured = True
        if state is not None:
            self._adam.state[self._parameter] = dict(state)

    def step(self, gradient: Tensor, learning_rate: float | Tensor) -> None:
        """Step against `gradient` [P] float32."""
        if isinstance(learning_rate, Tensor) and learning_rate.is_cuda:
            learning_rate = learning_rate.float()  # as the fused kernel reads it
        self._parameter.grad = gradient
        self._adam.param_groups[0]["lr"] = learning_rate
        self._adam.step()
        self._adam.param_groups[0]["lr"] = 0.0  # no state: given with each step

    def state_dict(self) -> dict[str, Any]:
        """Return the moments and the step count."""
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the moments and the step count; the settings stay those of this instance."""
        if self._state is not None:
            saved = state["state"].get(0, {})  # empty before the first step
            for name, tensor in self._state.items():
                tensor.copy_(saved[name]) if saved else tensor.zero_()
            return
        settings = self._adam.state_dict()["param_groups"]
        moments = deepcopy(state["state"])  # torch would share the tensors with `state`
        self._adam.load_state_dict({"state": moments, "param_groups": settings})


class RMSProp:
    """RMSProp (Tieleman and Hinton 2012) without momentum and without centering.

    With `epsilon_inside_sqrt` the step is gradient / sqrt(mean_square + epsilon), as in Lasagne
    (accel_rl) and TensorFlow 1 (OpenAI baselines); otherwise gradient / (sqrt(mean_square) +
    epsilon), as in torch. An epsilon of 1e-6 inside acts like 1e-3 outside on small gradients.

    Where the mean square starts decides the first 1 / (1 - decay) steps. From 0, as in Lasagne and
    torch, they are up to 1 / sqrt(1 - decay) times the learning rate, however small the gradient;
    from 1, as in TensorFlow, they are the learning rate times the gradient.
    """

    def __init__(
        self,
        parameters: Tensor,
        decay: float,
        epsilon: float,
        epsilon_inside_sqrt: bool,
        initial_mean_square: float = 0.0,
        state: Mapping[str, Tensor] | None = None,
    ) -> None:
        """`state`: where to keep `MOMENTS["rmsprop"]` [P] float32, in place.

        It is set to its start here: who shares a state builds all optimizers before a first step.
        """
        self._parameters = parameters
        self._mean_square = torch.empty_like(parameters) if state is None else state["mean_square"]
        self._mean_square.fill_(initial_mean_square)
        on_cpu = parameters.device.type == "cpu"
        self._chunk = min(CPU_CHUNK if on_cpu else len(parameters), len(parameters))
        self.decay = decay
        self.epsilon = epsilon
        self.epsilon_inside_sqrt = epsilon_inside_sqrt

    @torch.no_grad()
    def step(self, gradient: Tensor, learning_rate: float | Tensor) -> None:
        """Step against `gradient` [P] float32."""
        tensors = (self._parameters, self._mean_square, gradient)
        for chunk in zip(*(tensor.split(self._chunk) for tensor in tensors)):
            self._step_chunk(*chunk, learning_rate)

    def _step_chunk(
        self,
        parameters: Tensor,
        mean_square: Tensor,
        gradient: Tensor,
        learning_rate: float | Tensor,
    ) -> None:
        mean_square.mul_(self.decay).addcmul_(gradient, gradient, value=1 - self.decay)
        if self.epsilon_inside_sqrt:
            root = (mean_square + self.epsilon).sqrt_()
        else:
            root = mean_square.sqrt().add_(self.epsilon)
        if parameters.is_cuda:
            parameters.sub_(torch.div(gradient, root, out=root).mul_(learning_rate))
        else:  # one pass less; a number on the host may be read at any time
            parameters.addcdiv_(gradient, root, value=-float(learning_rate))

    def state_dict(self) -> dict[str, Any]:
        """Return the mean square of the gradients."""
        return {"mean_square": self._mean_square}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""
        self._mean_square.copy_(state["mean_square"])


def build_optimizer(
    name: str,
    parameters: Tensor,
    *,
    epsilon: float,
    rmsprop_decay: float = 0.99,
    epsilon_inside_sqrt: bool = True,
    rmsprop_initial_mean_square: float = 0.0,
    state: Mapping[str, Tensor] | None = None,
) -> Optimizer:
    """Build "adam" or "rmsprop" for the flat `parameters` [P] float32.

    `state`: the optimizer's own memory, by name: a `step` [] and its `MOMENTS` [P] float32, zeros.
    It is used in place. Not given: the optimizer takes some.
    """
    if name == "adam":
        return Adam(parameters, epsilon, state=state)
    if name == "rmsprop":
        start = rmsprop_initial_mean_square
        return RMSProp(parameters, rmsprop_decay, epsilon, epsilon_inside_sqrt, start, state)
    raise ValueError(f"optimizer={name!r}: choose adam or rmsprop")
