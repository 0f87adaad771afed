"""Acting greedily on a Q-network, but for a random action now and then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from accel.models import QNetwork
from accel.policies.step import PolicyStep, ask
from accel.types import QOutput


@dataclass(frozen=True)
class Exploration:
    """The chance of a random action, per environment, over global agent steps.

    It falls in a straight line from `initial` to the environment's own final value during the
    first `decay_agent_steps` of the run.
    """

    initial: float
    final: Tensor  # [B] float32, or [1]: the same for all
    decay_agent_steps: int

    @classmethod
    def constant(cls, epsilon: float, device: torch.device | str = "cpu") -> Exploration:
        """The same chance at all times, for any number of environments."""
        return cls(epsilon, torch.tensor([epsilon], device=device), 0)

    def __call__(self, agent_steps: int) -> Tensor:
        """The chances [B] (or [1]) float32 after `agent_steps`."""
        decay = self.decay_agent_steps
        progress = min(agent_steps / decay, 1.0) if decay else 1.0
        return self.initial + progress * (self.final - self.initial)


def epsilon_ladder(final: float, final_min: float | None, indices: range, num_envs: int) -> Tensor:
    """Final chances [len(indices)] float32 of the environments with global `indices`.

    All `final`; or, with `final_min`, spaced evenly in the logarithm from `final_min` (environment
    0) to `final` (the last of `num_envs`): some explore, some play nearly as they will be judged.
    By global index, so that it does not matter who steps which environment (Ape-X, Horgan et al.
    2018, section 4; rlpyt).
    """
    index = torch.tensor(list(indices), dtype=torch.float64)
    if final_min is None or num_envs == 1:
        return torch.full((len(indices),), final)
    share = index / (num_envs - 1)
    return (final_min ** (1 - share) * final**share).float()


class EpsilonGreedyPolicy:
    """The action of greatest value, or with chance epsilon any action, all alike.

    One uniform number per environment decides both whether to explore and which action it is, so
    that an action depends on the network's output and that environment's own noise alone.

    A noisy network's noise is drawn anew for each rollout, one for all environments of all ranks,
    from a seed that agent steps count on: there is no state to save.
    """

    def __init__(
        self,
        model: QNetwork,
        q_values: Callable[[QOutput], Tensor],
        exploration: Exploration,
        noise_seed: int | None = None,
    ) -> None:
        """`q_values` turns the model's output into expected values [n, A].

        `noise_seed` is of a noisy network's noise; None: it acts with its mean weights.
        """
        self.model = model
        self._q_values = q_values
        self._exploration = exploration
        self._noise_seed = noise_seed
        self._epsilon = exploration(0)

    @property
    def state_size(self) -> int:
        """Numbers that the network remembers of each environment."""
        return self.model.state_size

    def begin(self, agent_steps: int) -> None:
        """Set chances and noise for the next rollout, from the global agent steps before it."""
        self._epsilon.copy_(self._exploration(agent_steps))  # in place: a CUDA graph reads it
        self.model.draw_noise(self._noise_of(agent_steps))

    @torch.inference_mode()
    def act(
        self, observations: Tensor, noise: Tensor, columns: slice, state: Tensor | None = None
    ) -> PolicyStep:
        """Act for environments `columns`: observations [n, K, *frame], noise [n] in [0, 1).

        `state` [n, S] float32 is what a recurrent network remembers; zero at an episode's start.
        """
        output, state = ask(self.model, observations, state)
        q_values = self._q_values(output)
        values, greedy = q_values.max(1)
        epsilon = self._epsilon if len(self._epsilon) == 1 else self._epsilon[columns]
        epsilon = epsilon.expand(len(noise))
        num_actions = q_values.shape[1]
        # Below epsilon the noise is uniform in [0, epsilon): stretched, it chooses the action.
        drawn = (noise / epsilon.clamp(min=1e-12) * num_actions).long().clamp_(max=num_actions - 1)
        actions = torch.where(noise < epsilon, drawn, greedy)
        probs = (epsilon / num_actions).unsqueeze(1).repeat(1, num_actions)
        probs.scatter_add_(1, greedy.unsqueeze(1), (1 - epsilon).unsqueeze(1))
        return PolicyStep(actions, probs.log(), values, state)

    @torch.inference_mode()
    def values(self, observations: Tensor, state: Tensor | None = None) -> Tensor:
        """The greatest value [n] float32 of observations [n, K, *frame]."""
        return self._q_values(ask(self.model, observations, state)[0]).max(1).values

    def _noise_of(self, agent_steps: int) -> Generator | None:
        if self._noise_seed is None:
            return None
        seeds = np.random.SeedSequence((self._noise_seed, agent_steps))
        return Generator().manual_seed(int(seeds.generate_state(1)[0]))
