"""The next rollout's first step comes before the last values of this one, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import Pipe
from typing import Any

import numpy as np
import pytest
import torch

from accel.sampling.actor_messages import ActorPlan, Order, inbox_fields, send
from accel.sampling.actor_process import Actor, Requests
from accel.sampling.sampler import Sampler, Start
from accel.sampling.versioned import VersionedWeights
from accel.shared import SharedBlock
from tests.sampling.plays import Play, RememberingPolicy, assert_equal

LENGTH = 6
SIZES = {"num_envs": 4, "rollout_length": LENGTH, "num_groups": 2, "seed": 3}
POLE = Play("CartPole-v1", kind="gym", frame_stack=2)
END = LENGTH - 1


class Weighted(RememberingPolicy):
    """One whose values, and what it remembers, depend on its weights."""

    weights = 0.0

    def remember(self, observations: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        return super().remember(observations, state) + self.weights


class Player:
    """A sampler that plays rollouts 0, 1, ... with weights of these numbers."""

    def __init__(self, with_twin: bool, **settings: Any) -> None:
        self.policies = [Weighted(2) for _ in range(2 if with_twin else 1)]
        settings = {"slots": 2, "twin": self.policies[1] if with_twin else None, **settings}
        self.sampler = POLE.sampler(lambda _: self.policies[0], **SIZES, **settings)
        self.sampler.start()

    def begin(self, version: int) -> Start:
        self.policies[self.sampler.next_policy].weights = float(version)
        return Start(version, 10 * version)

    def play(self, versions: range) -> list[dict[str, torch.Tensor]]:
        """Each is begun as early as the sampler asks for it, but for what comes after them."""
        rollouts = []
        for version in versions:
            start = self.sampler.begun or self.begin(version)
            is_last = version + 1 == versions.stop
            following = (lambda: None) if is_last else (lambda v=version: self.begin(v + 1))
            rollout, _ = self.sampler.collect(*start, following=following)
            rollouts.append({name: t.clone() for name, t in vars(rollout).items() if t is not None})
        return rollouts


@pytest.mark.parametrize("settings", [{}, {"num_workers": 2}, {"slots": 3}])
def test_the_data_are_the_same(settings: dict[str, int]) -> None:
    """Of a policy that remembers, with other weights for each rollout, whoever's turn it is."""
    early, late = Player(True, **settings), Player(False)
    try:
        assert_equal(early.play(range(5)), late.play(range(5)))
        assert_equal([early.sampler.state_dict()["last"]], [late.sampler.state_dict()["last"]])
    finally:
        early.sampler.close()
        late.sampler.close()


def noted(sampler: Sampler, policies: list[Weighted], monkeypatch: Any) -> list[tuple]:
    """What is released, waited for and asked of the policies from now on."""
    events: list[tuple] = []

    def note(owner: Any, name: str, label: Callable[..., tuple]) -> None:
        call = getattr(owner, name)

        def noted_call(*args: Any, **kwargs: Any) -> Any:
            events.append(label(*args))
            return call(*args, **kwargs)

        monkeypatch.setattr(owner, name, noted_call)

    note(sampler._stepper, "release", lambda group, slot, t: ("step", group, slot, t))
    note(sampler._stepper, "wait", lambda group: ("wait", group))
    for number, policy in enumerate(policies):
        note(policy, "values", lambda *_, number=number: ("values", number))
    return events


def test_a_groups_next_step_waits_for_nothing_but_its_own(monkeypatch) -> None:
    player = Player(with_twin=True)
    events = noted(player.sampler, player.policies, monkeypatch)
    player.play(range(2))
    first_end = events.index(("step", 1, 0, END))
    assert [e for e in events[first_end + 1 :] if e != ("values", 1)][:6] == [
        ("wait", 0),
        ("step", 0, 1, 0),  # before group 1 is waited for, and before the last values
        ("values", 0),  # by the weights that played
        ("wait", 1),
        ("step", 1, 1, 0),
        ("values", 0),
    ]


def test_one_policy_begins_early_only_without_last_values(monkeypatch) -> None:
    for bootstrap_values in (True, False):
        player = Player(with_twin=False, bootstrap_values=bootstrap_values)
        events = noted(player.sampler, [], monkeypatch)
        player.play(range(2))
        other_ends = [i for i, event in enumerate(events) if event == ("wait", 1)][END]
        assert (events.index(("step", 0, 1, 0)) < other_ends) is not bootstrap_values


def test_one_slot_is_never_begun_early() -> None:
    player = Player(with_twin=False, bootstrap_values=False, slots=1)
    player.play(range(2))
    assert player.sampler.begun is None


def test_nothing_is_saved_amid_a_step() -> None:
    player = Player(with_twin=True)
    player.sampler.collect(*player.begin(0), following=lambda: player.begin(1))
    with pytest.raises(AssertionError, match="middle of a step"):
        player.sampler.state_dict()


def test_an_actor_begins_early_what_is_ordered_and_saves_between(monkeypatch) -> None:
    """Orders 0 and 1, a checkpoint, order 2; each with the weights that its order names."""
    ours, theirs = Pipe()
    inbox = SharedBlock(inbox_fields(4))
    weights = VersionedWeights(inbox.arrays)
    policies: list[Weighted] = []

    def build_policy() -> tuple[Weighted, Callable[[np.ndarray], None]]:
        policy = Weighted(2)
        policies.append(policy)
        return policy, lambda array: setattr(policy, "weights", float(array[0]))

    plan = ActorPlan(build_policy, {**SIZES, "recipe": POLE.recipe, "spec": POLE.spec, "slots": 2})
    actor = Actor(plan, inbox, Requests(theirs))
    actor.sampler.start()
    begun = []
    for version in range(2):
        buffer = weights.write(version, lambda array, v=version: array.fill(v))
        send(ours, "collect", Order(10 * version, buffer))
    send(ours, "save")
    late = Player(with_twin=False)
    for version in range(2):
        kind, filled = actor.serve_next()
        begun.append(actor.sampler.begun)
        assert (kind, filled.slot, filled.policy_version) == ("rollout", version, version)
        rollout = actor.sampler._slots[filled.slot].tensors
        (expected,) = late.play(range(version, version + 1))
        assert torch.equal(rollout.values, expected["values"])
    assert begun == [Start(1, 10), None]
    kind, state = actor.serve_next()
    assert kind == "saved"
    assert_equal([state["last"]], [late.sampler.state_dict()["last"]])
    send(ours, "close")
    assert actor.serve_next() is None
    for sampler in (actor.sampler, late.sampler):
        sampler.close()
