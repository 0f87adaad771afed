"""One update: a rollout in, new weights and metrics out.

Nothing here waits for the device before the end of an update (except `target_kl`, once per epoch):
losses stay tensors, and one check at the end tells whether all of them were finite.

On a GPU the work is recorded as CUDA graphs (see `accel.models.graphs`): one prepares a rollout,
one goes from a minibatch to its gradient, one takes the optimizer step. Dealing the minibatches and
adding up gradients over the ranks stay outside of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from accel.algos import ALONE, Ranks, RolloutAlgorithm, RolloutSamples, Schedule
from accel.algos.rollout_samples import explained_variance
from accel.learning.finite import finite_means, read_back
from accel.learning.flat import FlatParameters
from accel.learning.optimizers import Optimizer, build_optimizer
from accel.models import Network, stack_frames
from accel.models.graphs import Graphed, Graphs
from accel.types import ActorCriticOutput, QOutput, Rollout

# A CPU works best on pieces whose activations stay in its caches.
CPU_SAMPLES_PER_PASS = 256


class Learner:
    """Updates the weights of one model on one device; with others, the same update on each.

    The acting network may be this very model: its parameters are changed in place.
    """

    def __init__(
        self,
        model: Network,
        algorithm: RolloutAlgorithm,
        flat: FlatParameters,
        optimizer: Optimizer,
        learning_rate: Schedule,
        *,
        max_grad_norm: float | None,
        seed: int,
        max_samples_per_pass: int | None = None,
        ranks: Ranks = ALONE,
        graphs: Graphs | None = None,
    ) -> None:
        """`graphs` records the update; None calls it as it is."""
        self.model = model
        self.algorithm = algorithm
        self.flat = flat
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.max_grad_norm = max_grad_norm
        self.device = flat.master.device
        if max_samples_per_pass is None and self.device.type == "cpu":
            max_samples_per_pass = CPU_SAMPLES_PER_PASS
        self.max_samples_per_pass = max_samples_per_pass
        self.ranks = ranks
        self.num_updates = 0
        self._generator = torch.Generator()  # on the CPU: the same order on every device
        self._generator.manual_seed(seed)
        self._prepare = Graphed(algorithm.prepare, graphs, in_place=("rollout",))
        self._find_gradient = Graphed(self._gradient, graphs, in_place=("rollout",))
        self._take_step = Graphed(self._apply_gradient, graphs)

    def replace_optimizer(self, optimizer: Optimizer) -> None:
        """Step by another one from here on, which works on the host and is not recorded."""
        self.optimizer = optimizer
        self._take_step = Graphed(self._apply_gradient, None)

    def update(self, rollout: Rollout, agent_steps: int) -> dict[str, Tensor]:
        """Learn from one rollout and return scalar metrics, averaged over the minibatches.

        `agent_steps` is the schedules' clock: global agent steps taken before the rollout was
        collected. Raises NonFiniteLoss, naming the terms, if any became infinite or NaN.
        """
        batch = self._prepare(rollout=rollout)
        history: list[dict[str, Tensor]] = []
        for _ in range(self.algorithm.num_epochs):
            for minibatch in self.algorithm.minibatches(batch, self._generator, self.ranks):
                history.append(self._step(rollout, minibatch, agent_steps))
            if self.algorithm.should_stop(history[-1], self.ranks):
                break
        self.num_updates += 1
        variance = explained_variance(batch, self.ranks)
        metrics = finite_means(history, self.ranks, f"update {self.num_updates}", rollout)
        return {**metrics, "explained_variance": read_back(variance)}

    def _step(
        self, rollout: Rollout, minibatch: RolloutSamples, agent_steps: int
    ) -> dict[str, Tensor]:
        """Take one optimizer step on one minibatch."""
        terms = self._find_gradient(rollout=rollout, minibatch=minibatch, agent_steps=agent_steps)
        self.ranks.total(self.flat.gradient)
        norm = self._take_step(learning_rate=self.learning_rate(agent_steps))
        return copied({**terms, "grad_norm": norm / self.ranks.size})

    def _gradient(
        self, rollout: Rollout, minibatch: RolloutSamples, agent_steps: int | Tensor
    ) -> dict[str, Tensor]:
        """Write the gradient of this rank's part of a minibatch; return the loss's terms."""
        metrics: dict[str, Tensor] = {}
        for piece in minibatch.split(self.max_samples_per_pass):
            output = self._answer(rollout, piece)
            loss, terms = self.algorithm.loss(output, piece, agent_steps)
            self.flat.backward(loss, accumulate=bool(metrics))
            metrics = {name: metrics.get(name, 0) + term for name, term in terms.items()}
        return metrics

    def _apply_gradient(self, learning_rate: float | Tensor) -> Tensor:
        """Take an optimizer step against the gradient; return its norm before clipping."""
        return apply_gradient(self.flat, self.optimizer, learning_rate, self.max_grad_norm)

    def _answer(self, rollout: Rollout, piece: RolloutSamples) -> ActorCriticOutput | QOutput:
        """What the network says of the samples; a recurrent one goes through their whole columns.

        It starts from the state that the acting network had before the rollout's first step.
        """
        observations = stack_frames(rollout.frames, rollout.age, piece.time, piece.env)
        if rollout.state is None:
            return self.model(observations)
        env = piece.env[: piece.num_units]
        starts = rollout.age[: piece.steps_together].index_select(1, env) == 0
        state = rollout.state.index_select(0, env)
        return self.model.unroll(observations.unflatten(0, starts.shape), state, starts)[0]

    def charts(self, agent_steps: int) -> dict[str, float]:
        """Settings of the present, for the record."""
        return {"learning_rate": self.learning_rate(agent_steps)}

    def state_dict(self) -> dict[str, Any]:
        """Return everything a resumed run needs: weights, optimizer, shuffling, update count."""
        return {
            "model": self.flat.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self._generator.get_state(),
            "num_updates": self.num_updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""
        self.flat.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"].cpu())
        self.num_updates = state["num_updates"]
        self._take_step.forget()  # the optimizer's state has moved


def apply_gradient(
    flat: FlatParameters,
    optimizer: Optimizer,
    learning_rate: float | Tensor,
    max_grad_norm: float | None,
) -> Tensor:
    """Step the weights against their gradient, clipped; return its norm before."""
    norm = clip_norm(flat.gradient, max_grad_norm)
    optimizer.step(flat.gradient, learning_rate)
    flat.refresh()
    return norm


def copied(metrics: dict[str, Tensor]) -> dict[str, Tensor]:
    """The scalars in memory of their own: a CUDA graph's next replay writes where they were."""
    return dict(zip(metrics, torch.stack(list(metrics.values())).unbind()))


def clip_norm(gradient: Tensor, max_norm: float | None) -> Tensor:
    """Scale `gradient` [P] in place to a norm of at most `max_norm`; return the norm before."""
    norm = torch.dot(gradient, gradient).sqrt()  # on a CPU twice as fast as vector_norm
    if max_norm is not None:
        gradient.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


def build_learner(
    model: Network,
    algorithm: RolloutAlgorithm,
    learning_rate: Schedule,
    *,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    optimizer: str = "adam",
    optimizer_epsilon: float = 1e-5,
    max_grad_norm: float | None = 0.5,
    seed: int = 0,
    max_samples_per_pass: int | None = None,
    ranks: Ranks = ALONE,
) -> Learner:
    """Flatten `model` onto `device` and build a learner for it.

    `precision` is "fp32" or "bf16" (see `resolve_precision`). From here on the model's parameters
    are views owned by the learner: move or cast the model before, not after.
    """
    flat = FlatParameters(model, torch.device(device), precision)
    return Learner(
        model,
        algorithm,
        flat,
        build_optimizer(optimizer, flat.master, epsilon=optimizer_epsilon),
        learning_rate,
        max_grad_norm=max_grad_norm,
        seed=seed,
        max_samples_per_pass=max_samples_per_pass,
        ranks=ranks,
    )
