"""From a config to the parts of a run: the one place where config keys become arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from accel.algos import A2C, IMPALA, PPO, PQN, Ranks, RolloutAlgorithm, View, build_schedule
from accel.config.derive import Derived
from accel.config.errors import UserError
from accel.config.schema import Config, DQNConfig, IMPALAConfig, PPOConfig, PQNConfig, QConfig
from accel.envs.batch import EnvRecipe
from accel.learning import FlatParameters, Learner, resolve_precision
from accel.learning.async_team import Asynchronous, NotOneMachine
from accel.learning.replay_learner import ReplayLearner
from accel.learning.sync import Alone, Together
from accel.models import Network, build_model
from accel.models.graphs import CudaGraphs
from accel.policies import CategoricalPolicy
from accel.runners import build_q
from accel.runners.asynchronous import share_weights
from accel.runners.build_learning import learning_rate, optimizer
from accel.runners.replay_journal import Journal, ReplayJournal
from accel.runners.replay_segments import Segments
from accel.runs.folder import REPLAY
from accel.sampling.sampler import Policy
from accel.types import EnvSpec

# Longest wait of a rank for the others: an evaluation's games may differ much in length.
RANKS_TIMEOUT_S = 1800.0


def env_recipe(config: Config, derived: Derived) -> EnvRecipe:
    """The environment of training and evaluation alike: life loss and clipping are not in it."""
    env = config.env
    if env.kind == "gym":
        return EnvRecipe("gym", env.game, {"frame_stack": env.frame_stack})
    options = {
        "screen": env.screen,
        "frame_skip": env.frame_skip,
        "frame_stack": env.frame_stack,
        "repeat_action_probability": derived.repeat_action_probability,
        "max_noops": derived.max_noops,
        "fire_on_reset": env.fire_on_reset,
        "full_action_space": env.full_action_space,
        "max_frames_per_episode": env.max_frames_per_episode,
        "mode": env.mode,
        "difficulty": env.difficulty,
    }
    return EnvRecipe("atari", env.game, options)


def network(config: Config, spec: EnvSpec) -> Network:
    """A new network, initialized by the run's seed."""
    torch.manual_seed(config.seed)
    model = config.model
    layer_norm = (
        isinstance(config.algo, PQNConfig) if model.layer_norm is None else model.layer_norm
    )
    if isinstance(config.algo, QConfig):
        return build_q.q_network(config, spec, layer_norm)
    return build_model(
        model.name,
        spec.frame_shape,
        spec.frame_stack,
        spec.num_actions,
        model.hidden_size,
        separate_critic=model.separate_critic,
        layer_norm=layer_norm,
        initialization=model.initialization,
        core=model.core,
        core_size=model.core_size,
    )


def precision(config: Config, model: Network, device: torch.device) -> tuple[str, str]:
    """The number format of the model's torsos, "fp32" or "bf16", and the reason."""
    if not any(True for _ in model.low_precision_parameters()):
        return "fp32", "vector observations need it"
    return resolve_precision(config.precision, device)


def algorithm(config: Config, derived: Derived) -> RolloutAlgorithm:
    """The algorithm with its settings and schedules."""
    algo = config.algo
    common = {
        "discount": algo.discount,
        "view": View(derived.terminal_on_life_loss, derived.clip_rewards),
    }
    if isinstance(algo, PQNConfig):
        return PQN(
            **common,
            q_lambda=algo.q_lambda,
            num_epochs=algo.num_epochs,
            num_minibatches=algo.num_minibatches,
        )
    common |= {
        "entropy_coef": build_schedule(
            algo.entropy_coef_schedule, algo.entropy_coef, config.total_agent_steps
        ),
        "value_coef": algo.value_coef,
    }
    if isinstance(algo, IMPALAConfig):
        return IMPALA(
            **common,
            vtrace_lambda=algo.vtrace_lambda,
            rho_bar=algo.rho_bar,
            c_bar=algo.c_bar,
            num_minibatches=algo.num_minibatches,
        )
    common |= {
        "gae_lambda": algo.gae_lambda,
        "normalize_advantages": algo.normalize_advantages,
    }
    if not isinstance(algo, PPOConfig):
        return A2C(**common)
    return PPO(
        **common,
        num_epochs=algo.num_epochs,
        num_minibatches=algo.num_minibatches,
        clip_range=build_schedule(
            algo.clip_range_schedule, algo.clip_range, config.total_agent_steps
        ),
        clip_value=algo.clip_value,
        target_kl=algo.target_kl,
    )


def policy(config: Config, derived: Derived, model: Network, first_index: int) -> Policy:
    """How the environments from `first_index` on are acted for in training."""
    if isinstance(config.algo, QConfig):
        return build_q.exploring_policy(config, derived, model, first_index)
    return CategoricalPolicy(model)


def policy_charts(config: Config) -> Callable[[int], dict[str, float]]:
    """Figures, by agent steps, of how actions are chosen in training, over all environments."""
    if not isinstance(config.algo, QConfig):
        return lambda agent_steps: {}
    exploration = build_q.exploration(config, range(config.sampler.num_envs))
    return lambda agent_steps: {"epsilon": float(exploration(agent_steps).mean())}


def evaluation_policy(config: Config, model: Network, greedy: bool = False) -> Policy:
    """How a trained network is judged: as it learned to act, or by its best actions alone."""
    if isinstance(config.algo, QConfig):
        return build_q.judged_policy(config, model, greedy)
    return CategoricalPolicy(model, greedy=greedy)


def team(config: Config, derived: Derived) -> Alone:
    """The learners of the job. NCCL needs a GPU for each; ranks that share one talk by gloo."""
    on_gpu = derived.device.startswith("cuda")
    if on_gpu:  # what names no device, like a wait for it, would wake up the first GPU as well
        torch.cuda.set_device(derived.device)
    if derived.num_learners == 1:
        return Alone()
    place = derived.machine.place
    has_own_gpu = on_gpu and not config.device.startswith("cuda:")
    if config.algo.asynchronous:
        try:
            return Asynchronous(place.rank, place.size, timeout_s=RANKS_TIMEOUT_S)
        except NotOneMachine as error:
            raise UserError(str(error)) from error
    backend = "nccl" if has_own_gpu else "gloo"
    return Together(place.rank, place.size, backend=backend, timeout_s=RANKS_TIMEOUT_S)


def learner(
    config: Config, derived: Derived, spec: EnvSpec, model: Network, precision: str, team: Alone
) -> Learner | ReplayLearner:
    """The learner that owns `model` from here on."""
    if isinstance(config.algo, DQNConfig):
        learner = build_q.replay_learner(config, derived, spec, model, precision, team.update_ranks)
    else:
        learner = rollout_learner(config, derived, model, precision, team.update_ranks)
    share_weights(config.algo, learner, team)
    return learner


def rollout_learner(
    config: Config, derived: Derived, model: Network, precision: str, ranks: Ranks
) -> Learner:
    """A learner that learns from each rollout as it comes."""
    device = torch.device(derived.device)
    flat = FlatParameters(model, device, precision)
    return Learner(
        model,
        algorithm(config, derived),
        flat,
        optimizer(config.algo, flat.master),
        learning_rate(config, derived),
        max_grad_norm=config.algo.max_grad_norm,
        seed=config.seed,
        ranks=ranks,
        graphs=CudaGraphs(device) if derived.cuda_graphs else None,
    )


def replay_memory(learner: Learner | ReplayLearner) -> list[tuple[str, str]]:
    """For the start report: where a replay lies, if there was a choice; see `build_q`."""
    if not isinstance(learner, ReplayLearner) or learner.flat.master.device.type == "cpu":
        return []
    device = learner.replay.ring.frames.device
    if device.type == "cpu":
        return [("replay memory", "the host's, batches are uploaded: the GPU has too little free")]
    return [("replay memory", f"of {device}")]


def journal(
    config: Config, learner: Learner | ReplayLearner, team: Alone, warn: Callable[[str], None]
) -> Journal:
    """What keeps the learner's replay on disk, if it has one to keep."""
    segments = Segments(Path(config.run_dir) / REPLAY)
    if isinstance(learner, ReplayLearner) and config.algo.save_replay:
        return ReplayJournal(learner.replay, segments, team, config.keep_checkpoints, warn)
    return Journal(segments)
