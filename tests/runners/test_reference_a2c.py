"""Against stable-baselines3's A2C with TensorFlow's RMSProp: the same weights, update by update."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from accel.algos import ALONE
from accel.config.derive import derive
from accel.config.machine import Machine
from accel.learning import Learner
from accel.runners import build
from accel.sampling.stepping import probe_spec
from accel.types import Rollout

NUM_ENVS, NUM_STEPS, NUM_UPDATES = 4, 5, 100
BATCH = NUM_ENVS * NUM_STEPS
TOTAL = 4 * NUM_UPDATES * BATCH  # of the learning rate, which has a quarter less at the end


@pytest.fixture
def reference():
    """Its A2C on CartPole with rl-baselines3-zoo's settings for Atari, and a shorter schedule."""
    pytest.importorskip("stable_baselines3")
    from stable_baselines3 import A2C
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

    agent = A2C(
        "MlpPolicy",
        make_vec_env("CartPole-v1", NUM_ENVS, seed=0),
        learning_rate=lambda left: 7e-4 * left,
        n_steps=NUM_STEPS,
        ent_coef=0.01,
        vf_coef=0.25,  # of the whole squared error
        policy_kwargs=dict(optimizer_class=RMSpropTFLike, optimizer_kwargs=dict(eps=1e-5)),
        seed=0,
        device="cpu",
    )
    _, callback = agent._setup_learn(TOTAL)
    return agent, callback


@pytest.fixture
def learner_from(make_config):
    """learner_from(mean square, weights by name): that of `algo=a2c` on the same game."""

    def build_one(mean_square: float | None, weights: dict[str, Tensor]) -> Learner:
        """`mean_square`: where it starts; None: as algo=a2c has it."""
        game = ("env=gym", "env.game=CartPole-v1", "model=mlp", "sampler=serial", "algo=a2c")
        sizes = (f"sampler.num_envs={NUM_ENVS}", f"algo.rollout_length={NUM_STEPS}")
        config = make_config(*game, *sizes, f"total_agent_steps={TOTAL}")
        if mean_square is not None:
            algo = replace(config.algo, rmsprop_initial_mean_square=mean_square)
            config = replace(config, algo=algo)
        derived = derive(config, Machine.detect("cpu"))
        model = build.network(config, probe_spec(build.env_recipe(config, derived)))
        learner = build.rollout_learner(config, derived, model, "fp32", ALONE)
        learner.flat.load_state_dict(weights)
        return learner

    return build_one


def weights_of(policy: nn.Module) -> dict[str, Tensor]:
    """Copies of its weights by our names."""
    torsos = {
        "torso": policy.mlp_extractor.policy_net,
        "critic_torso": policy.mlp_extractor.value_net,
    }
    layers = {
        f"{name}.{ours}": torso[place]
        for name, torso in torsos.items()
        for ours, place in (("linear1", 0), ("linear2", 2))  # a tanh after each
    }
    layers |= {"policy_head": policy.action_net, "value_head": policy.value_net}
    return {
        f"{name}.{kind}": getattr(layer, kind).detach().clone()
        for name, layer in layers.items()
        for kind in ("weight", "bias")
    }


def rollout_of(agent) -> Rollout:
    """What it has collected, in our terms: an episode that ended goes on as the next one."""
    buffer = agent.rollout_buffer
    shape = (NUM_STEPS, NUM_ENVS)
    ends = np.concatenate([buffer.episode_starts[1:], agent._last_episode_starts[None]])
    last = torch.from_numpy(agent._last_obs)
    nothing = torch.zeros(shape, dtype=torch.bool)
    with torch.no_grad():
        bootstrap = agent.policy.predict_values(last).flatten()
    frames = np.concatenate([buffer.observations, agent._last_obs[None]])
    return Rollout(
        frames=torch.from_numpy(frames),
        age=torch.zeros(NUM_STEPS + 1, NUM_ENVS, dtype=torch.int32),
        actions=torch.from_numpy(buffer.actions).long().view(shape),
        rewards=torch.from_numpy(buffer.rewards),
        terminated=torch.from_numpy(ends).bool(),
        truncated=nothing,
        life_lost=nothing,
        valid=~nothing,
        log_probs=torch.zeros(*shape, 2),  # A2C takes those of its own network
        values=torch.cat([torch.from_numpy(buffer.values), bootstrap[None]]),
        policy_version=torch.zeros(NUM_STEPS, dtype=torch.int64),
    )


def differences(agent, callback, learner: Learner) -> list[float]:
    """The largest of any weight after each update, both on what the reference has collected."""
    found = []
    for update in range(NUM_UPDATES):
        agent.collect_rollouts(agent.env, callback, agent.rollout_buffer, NUM_STEPS)
        learner.update(rollout_of(agent), update * BATCH)
        agent._update_current_progress_remaining(update * BATCH, TOTAL)
        agent.train()
        ours = learner.flat.state_dict()
        theirs = weights_of(agent.policy)
        found.append(max(float((ours[name] - theirs[name]).abs().max()) for name in theirs))
    return found


def test_a2c_equals_the_reference_over_a_hundred_updates(reference, learner_from) -> None:
    agent, callback = reference
    start = weights_of(agent.policy)
    found = differences(agent, callback, learner_from(None, start))
    moved = weights_of(agent.policy)
    assert max(float((moved[name] - start[name]).abs().max()) for name in start) > 1e-3
    assert max(found) < 1e-6


def test_from_a_mean_square_of_zero_the_first_update_already_differs(
    reference, learner_from
) -> None:
    agent, callback = reference
    found = differences(agent, callback, learner_from(0.0, weights_of(agent.policy)))
    assert found[0] > 1e-3
