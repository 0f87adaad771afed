"""Small worlds with known dynamics: their true action values, and walks through them."""

from dataclasses import dataclass

import gymnasium
import numpy as np
import torch

from accel.types import Rollout


@dataclass(frozen=True)
class World:
    """Each of S states has A actions with O possible outcomes; impossible ones have chance 0."""

    chance: torch.Tensor  # [S, A, O]
    following: torch.Tensor  # [S, A, O] int64
    reward: torch.Tensor  # [S, A, O]
    ends: torch.Tensor  # [S, A, O] bool
    discount: float

    @classmethod
    def from_outcomes(cls, outcomes, discount):
        """From gymnasium's table: outcomes[s][a] is a list of (chance, s', reward, ends)."""
        num_outcomes = max(len(cell) for row in outcomes.values() for cell in row.values())
        padding = (0.0, 0, 0.0, True)
        table = torch.tensor(
            [
                [cell + [padding] * (num_outcomes - len(cell)) for cell in row.values()]
                for row in outcomes.values()
            ]
        )
        chance, following, reward, ends = table.unbind(3)
        return cls(chance, following.long(), reward, ends.bool(), discount)

    def values_of(self, policy):
        """Q^pi [S, A] of action chances [S, A], from the linear Bellman equations."""
        num_states, num_actions = policy.shape
        carry = (self.discount * self.chance * ~self.ends).double().numpy()
        moves = np.zeros((num_states, num_actions, num_states))
        for s, a, o in np.ndindex(carry.shape):
            moves[s, a, self.following[s, a, o]] += carry[s, a, o]
        rewards = (self.chance * self.reward).double().sum(2).numpy()
        chances = policy.double().numpy()
        state_moves, state_rewards = np.einsum("sa,sat->st", chances, moves), chances * rewards
        values = np.linalg.solve(np.eye(num_states) - state_moves, state_rewards.sum(1))
        return torch.tensor(rewards + moves @ values).float()

    def optimal_values(self):
        """Q* [S, A] by policy iteration."""
        policy = torch.full(self.chance.shape[:2], 1 / self.chance.shape[1])
        for _ in range(100):
            values = self.values_of(policy)
            policy = mostly_greedy(values, epsilon=0.0)
        return values


def mostly_greedy(values, epsilon):
    """Action chances [S, A]: the best action of values [S, A], or with chance epsilon any."""
    best = torch.nn.functional.one_hot(values.argmax(1), values.shape[1])
    return (1 - epsilon) * best + epsilon / values.shape[1]


def chain(slip=0.2):
    """Five states in a row: off the left end is worth 0.3, off the right end 1."""

    def step(state, move):
        if state + move in (-1, 5):
            return (0, 1.0 if move == 1 else 0.3, True)
        return (state + move, 0.0, False)

    def outcomes(state, move):
        return [(1 - slip, *step(state, move)), (slip, *step(state, -move))]

    table = {state: {a: outcomes(state, (-1, 1)[a]) for a in (0, 1)} for state in range(5)}
    return World.from_outcomes(table, discount=0.8)


def frozen_lake():
    return World.from_outcomes(gymnasium.make("FrozenLake-v1").unwrapped.P, discount=0.95)


class Walkers:
    """B environments of a world, stepped from state 2 as vector environments are: NEXT_STEP."""

    def __init__(self, world, num_envs, seed):
        self.world = world
        self.generator = torch.Generator().manual_seed(seed)
        self.states = torch.full((num_envs,), 2)
        self.is_reset = torch.zeros(num_envs, dtype=torch.bool)

    def draw(self, chances):
        return torch.multinomial(chances, 1, generator=self.generator).squeeze(1)

    def rollout(self, policy, state_values, num_steps):
        """(states [T + 1, B], rollout) of `policy` [S, A]; `state_values` [S] are V."""
        world, steps, states = self.world, [], [self.states]
        for _ in range(num_steps):
            s, is_reset = self.states, self.is_reset
            actions = self.draw(policy[s])
            o = self.draw(world.chance[s, actions])
            cell = (s, actions, o)
            terminated = world.ends[cell] & ~is_reset
            # A few games are cut short, which must change nothing.
            cut = torch.rand(len(s), generator=self.generator) < 0.1
            truncated = cut & ~terminated & ~is_reset
            rewards = torch.where(is_reset, 0.0, world.reward[cell])
            self.states = torch.where(is_reset, 2, world.following[cell])
            self.is_reset = terminated | truncated
            steps.append((actions, rewards, terminated, truncated, ~is_reset))
            states.append(self.states)
        actions, rewards, terminated, truncated, valid = map(torch.stack, zip(*steps))
        states = torch.stack(states)
        return states, Rollout(
            frames=states.unsqueeze(2),
            age=torch.zeros_like(states, dtype=torch.int32),
            actions=actions,
            rewards=rewards,
            terminated=terminated,
            truncated=truncated,
            life_lost=torch.zeros_like(valid),
            valid=valid,
            log_probs=policy.log()[states[:-1]],
            values=state_values[states],
            policy_version=torch.zeros(num_steps, dtype=torch.int64),
        )
