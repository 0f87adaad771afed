"""Shared by the sampling tests: a policy that needs no network, and rollouts to compare."""

from __future__ import annotations

import gc
import os

import pytest
import torch
from shared_names import nothing_new, shared_names

from accel.envs.batch import EnvRecipe
from accel.policies import PolicyStep
from accel.sampling.build import build_sampler
from accel.sampling.sampler import Sampler
from accel.sampling.stepping import probe_spec
from accel.types import Episode


class ScriptedPolicy:
    """Acts on its noise alone; its values are a function of the whole observation."""

    state_size = 0

    def __init__(self, num_actions: int) -> None:
        self.num_actions = num_actions

    def begin(self, agent_steps: int) -> None:
        pass

    def act(
        self,
        observations: torch.Tensor,
        noise: torch.Tensor,
        columns: slice,
        state: torch.Tensor | None,
    ) -> PolicyStep:
        log_probs = torch.zeros(len(noise), self.num_actions)
        actions = (noise * self.num_actions).long()
        return PolicyStep(actions, log_probs, self.values(observations, state))

    def values(self, observations: torch.Tensor, state: torch.Tensor | None) -> torch.Tensor:
        return observations.double().flatten(1).sum(1).float() / 1024


class Play:
    """Builds samplers of one game and records what they collect."""

    def __init__(self, game: str = "breakout", kind: str = "atari", **options: object) -> None:
        if kind == "gym":
            options = {"frame_stack": 1, **options}
        self.recipe = EnvRecipe(kind, game, options)
        self.spec = probe_spec(self.recipe)

    def sampler(
        self, policy_class: type[ScriptedPolicy] = ScriptedPolicy, **settings: object
    ) -> Sampler:
        settings = {"num_envs": 8, "rollout_length": 24, "seed": 5, **settings}
        policy = policy_class(self.spec.num_actions)
        return build_sampler(self.recipe, self.spec, policy, **settings)

    def collect(
        self, sampler: Sampler, num_rollouts: int
    ) -> tuple[list[dict[str, torch.Tensor]], list[Episode]]:
        """Clones of the next rollouts' tensors by field name, and the games ended, sorted."""
        rollouts, episodes = [], []
        for version in range(num_rollouts):
            rollout, ended = sampler.collect(version)
            tensors = {name: t for name, t in vars(rollout).items() if t is not None}
            rollouts.append({name: tensor.clone() for name, tensor in tensors.items()})
            episodes += ended
        return rollouts, sorted(episodes, key=lambda e: (e.env_index, e.episodic_length))


@pytest.fixture
def play():
    """The class, so that a test names its own game."""
    return Play


@pytest.fixture
def leaves_nothing():
    """No open descriptor more than before, nothing new in /dev/shm."""

    def num_open() -> int:
        return len(os.listdir("/proc/self/fd"))

    gc.collect()  # what earlier tests left to be closed must not count
    descriptors, shared = num_open(), shared_names()
    yield
    gc.collect()  # an exception's frames still hold the sampler, and so its memory
    assert num_open() == descriptors
    assert nothing_new(shared)
