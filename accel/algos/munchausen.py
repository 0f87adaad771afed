"""Munchausen reinforcement learning: reward what the policy prefers already.

From Vieillard et al. 2020. The policy meant is the target network's softmax(q / tau), not the one
that acts.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Munchausen:
    """Settings of M-DQN; the defaults are the paper's for Atari."""

    alpha: float = 0.9  # scale of the added log-policy
    tau: float = 0.03  # temperature of the policy; alpha = 0 is soft Q-learning
    clip: float = -1.0  # least added log-policy, the paper's l_0

    def reward(self, q_values: Tensor, actions: Tensor) -> Tensor:
        """Return alpha * tau * ln pi(a | s), clipped, [n] for q_values [n, A] and actions [n]."""
        log_policy = self.tau * (q_values / self.tau).log_softmax(1)
        taken = log_policy.gather(1, actions.unsqueeze(1)).squeeze(1)
        return self.alpha * taken.clamp(min=self.clip, max=0)

    def state_values(self, q_values: Tensor) -> Tensor:
        """Return sum_a pi(a | s) (q(s, a) - tau * ln pi(a | s)), [n] for q_values [n, A].

        For a softmax policy that is tau * logsumexp(q / tau).
        """
        return self.tau * (q_values / self.tau).logsumexp(1)
