"""What a rollout's rows mean: autoreset, ages, stacks across rollouts, whole-game totals."""

from collections import defaultdict
from itertools import pairwise

import torch

from accel.models.frame_stack import stack_frames
from accel.policies import PolicyStep
from tests.sampling.plays import ScriptedPolicy


def collect(play, **settings: object):
    maker = play("breakout", max_frames_per_episode=120)
    sampler = maker.sampler(rollout_length=20, num_envs=4, num_groups=2, **settings)
    sampler.start()
    result = maker.collect(sampler, 5)
    sampler.close()
    return maker, result


def test_the_step_after_an_end_is_a_reset(play) -> None:
    _, (rollouts, _) = collect(play)
    whole = {
        name: torch.cat([r[name][: r["rewards"].shape[0]] for r in rollouts])
        for name in ("terminated", "truncated", "valid", "rewards", "life_lost", "age")
    }
    done = whole["terminated"] | whole["truncated"]
    assert done.any()
    assert torch.equal(~whole["valid"][1:], done[:-1])  # invalid exactly after an end
    assert (whole["rewards"][~whole["valid"]] == 0).all()
    assert not (done | whole["life_lost"])[~whole["valid"]].any()
    # The observation after a reset step is an episode's first; every other is one step older.
    expected = torch.where(whole["valid"][:-1], whole["age"][:-1] + 1, 0)
    assert torch.equal(whole["age"][1:], expected.to(torch.int32))


def test_a_rollout_starts_where_the_last_one_ended(play) -> None:
    _, (rollouts, _) = collect(play)
    for before, after in pairwise(rollouts):
        assert torch.equal(before["frames"][-4:], after["frames"][:4])
        assert torch.equal(before["age"][-1], after["age"][0])
        assert torch.equal(before["values"][-1], after["values"][0])  # same policy, same stack


def test_without_bootstrap_values_all_else_is_the_same(play) -> None:
    rollouts, others = (collect(play, bootstrap_values=wanted)[1][0] for wanted in (True, False))
    for rollout, other in zip(rollouts, others):
        assert not torch.equal(rollout["values"][-1], other["values"][-1])
        for name, tensor in rollout.items():
            rows = slice(-1) if name == "values" else slice(None)
            assert torch.equal(tensor[rows], other[name][rows]), name


def test_the_policy_sees_what_the_learner_will_gather(play) -> None:
    """Young games and old ones: the actor copies no stack where all are old enough."""
    seen: list[torch.Tensor] = []

    class Witness(ScriptedPolicy):
        def act(self, observations: torch.Tensor, *args: object, **others: object) -> PolicyStep:
            seen.append(observations.clone())
            return super().act(observations, *args, **others)

    sampler = play("breakout", max_frames_per_episode=120).sampler(
        Witness, rollout_length=20, num_envs=4, num_groups=2
    )
    sampler.start()
    num_young = 0
    for version in range(4):
        rollout, _ = sampler.collect(version)
        for call, observations in enumerate(seen):
            t, group = divmod(call, 2)
            env = torch.arange(2 * group, 2 * group + 2)
            time = torch.full_like(env, t)
            assert torch.equal(
                observations, stack_frames(rollout.frames, rollout.age, time, env)
            ), (version, t, group)
            num_young += int((rollout.age[t, env] < 3).any())
        seen.clear()
    sampler.close()
    assert 0 < num_young < 80  # of 160 calls


def test_stacks_equal_a_naive_queue_across_rollouts(play) -> None:
    """Rebuilt from every frame since an episode's start, padded with its first frame."""
    maker, (rollouts, _) = collect(play)
    history: dict[int, list[torch.Tensor]] = defaultdict(list)
    for rollout in rollouts:
        for t in range(20):
            for b in range(4):
                if rollout["age"][t, b] == 0:
                    history[b].clear()
                history[b].append(rollout["frames"][3 + t, b])
                newest = history[b][-4:]
                expected = torch.stack([newest[0]] * (4 - len(newest)) + newest)
                stack = stack_frames(
                    rollout["frames"], rollout["age"], torch.tensor([t]), torch.tensor([b])
                )[0]
                assert torch.equal(stack, expected), (t, b)
    assert maker.spec.frame_stack == 4


def test_episodes_are_whole_games_in_raw_score(play) -> None:
    """Totals go on over rollout borders and count every valid step of a game."""
    _, (rollouts, episodes) = collect(play)
    rewards, valid, ended = (
        torch.cat([r[name] for r in rollouts]) for name in ("rewards", "valid", "truncated")
    )
    ended = ended | torch.cat([r["terminated"] for r in rollouts])
    expected = []
    for b in range(4):
        total, length = 0.0, 0
        for t in range(len(rewards)):
            total, length = total + float(rewards[t, b]), length + int(valid[t, b])
            if ended[t, b]:
                expected.append((b, length, total))
                total, length = 0.0, 0
    actual = [(e.env_index, e.episodic_length, e.episodic_return) for e in episodes]
    assert sorted(actual) == sorted(expected)
    assert expected
