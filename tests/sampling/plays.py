"""Samplers of one game, a policy that needs no network, and rollouts to compare."""

from __future__ import annotations

from collections.abc import Callable

import torch

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


class RememberingPolicy(ScriptedPolicy):
    """Remembers how many steps it has seen of an episode, and a fading sum of what they showed.

    Everything is elementwise, so that it does not depend on what else is in the batch.
    """

    state_size = 2

    def act(
        self, observations: torch.Tensor, noise: torch.Tensor, columns: slice, state: torch.Tensor
    ) -> PolicyStep:
        step = super().act(observations, noise, columns, state)
        return step._replace(state=self.remember(observations, state))

    def values(self, observations: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        return self.remember(observations, state).sum(1)

    def remember(self, observations: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        seen = super().values(observations, None)
        return torch.stack((state[:, 0] + 1, state[:, 1] / 2 + seen), 1)


def assert_equal(actual: list[dict[str, torch.Tensor]], expected: list[dict[str, torch.Tensor]]):
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert torch.equal(ours[name], theirs[name]), name


def run(play: Callable, num_rollouts: int = 3, options: dict | None = None, **settings: object):
    maker = play(**({"max_frames_per_episode": 160} if options is None else options))
    sampler = maker.sampler(**settings)
    try:
        sampler.start()
        return maker.collect(sampler, num_rollouts)
    finally:
        sampler.close()


def check_goes_on_exactly(maker, original: Sampler, restored: Sampler) -> None:
    """Restored from its state amid games, the second does what the first goes on to do."""
    try:
        original.start()
        maker.collect(original, 2)
        restored.load_state_dict(original.state_dict())
        expected, games = maker.collect(original, 3)
        actual, same_games = maker.collect(restored, 3)
    finally:
        original.close()
        restored.close()
    # Rows of history from before the restored frame's stack are part of the state as well.
    assert_equal(actual, expected)
    assert same_games == games
