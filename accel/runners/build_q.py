"""The parts that Q-learning needs, from a config: see `build.py` for the rest."""

from __future__ import annotations

import torch

from accel.algos import (
    C51,
    DQN,
    PQN,
    R2D2,
    Linear,
    Munchausen,
    QAlgorithm,
    QuantileRegression,
    Ranks,
    View,
)
from accel.config.derive import Derived
from accel.config.replay import samples_per_item
from accel.config.schema import Config, DQNConfig, QConfig, R2D2Config
from accel.learning.flat import FlatParameters
from accel.learning.replay_learner import Pace, ReplayLearner, target_network
from accel.learning.sequence_lesson import SequenceLesson
from accel.learning.transition_lesson import TransitionLesson
from accel.models import QNetwork, build_q_network
from accel.models.graphs import CudaGraphs
from accel.policies import EpsilonGreedyPolicy, Exploration, epsilon_ladder
from accel.replay import (
    EpisodeReader,
    Replay,
    SequenceReader,
    TransitionReader,
    bytes_needed,
    ring_fields,
    ring_rows,
)
from accel.runners.build_learning import learning_rate, optimizer
from accel.types import EnvSpec

GPU_SHARE = 0.75  # of its free memory that a replay may take; the rest is for rollouts and passes


def q_network(config: Config, spec: EnvSpec, layer_norm: bool) -> QNetwork:
    """A new network with the head that the algorithm learns."""
    model, algo = config.model, config.algo
    head = {}
    if isinstance(algo, DQNConfig):
        outputs = {"expected": 1, "categorical": algo.num_atoms}
        head = {
            "head": algo.distribution,
            "num_outputs": outputs.get(algo.distribution, algo.num_quantiles),
            "dueling": algo.dueling,
            "noisy": algo.noisy,
        }
    return build_q_network(
        model.name,
        spec.frame_shape,
        spec.frame_stack,
        spec.num_actions,
        model.hidden_size,
        layer_norm=layer_norm,
        initialization=model.initialization,
        core=model.core,
        core_size=model.core_size,
        **head,
    )


def q_algorithm(algo: QConfig) -> QAlgorithm | PQN | R2D2:
    """What is learned from samples, and how the network's outputs become action values."""
    if not isinstance(algo, DQNConfig):
        return PQN()
    if isinstance(algo, R2D2Config):
        return R2D2(
            n_step=algo.n_step,
            discount=algo.discount,
            double=algo.double,
            value_rescaling=algo.value_rescaling,
            huber_delta=algo.huber_delta,
            priority_eta=algo.priority_eta,
        )
    if algo.distribution == "categorical":
        return C51(algo.v_min, algo.v_max, algo.double)
    if algo.distribution in ("quantile", "implicit"):
        return QuantileRegression(double=algo.double)
    return DQN(
        double=algo.double,
        sarsa=algo.target == "sarsa",
        munchausen=Munchausen() if algo.munchausen else None,
        huber_delta=algo.huber_delta,
        value_rescaling=algo.value_rescaling,
    )


def exploring_policy(
    config: Config, derived: Derived, model: QNetwork, first_index: int
) -> EpsilonGreedyPolicy:
    """How the environments from `first_index` on are acted for in training."""
    algo = config.algo
    ours = range(first_index, first_index + derived.envs_per_learner)
    noise_seed = config.seed if isinstance(algo, DQNConfig) and algo.noisy else None
    return EpsilonGreedyPolicy(
        model, q_algorithm(algo).q_values, exploration(config, ours, derived.device), noise_seed
    )


def exploration(config: Config, indices: range, device: str = "cpu") -> Exploration:
    """The chances of a random action of the environments with global `indices`."""
    algo = config.algo
    final = epsilon_ladder(
        algo.epsilon_final, algo.epsilon_final_min, indices, config.sampler.num_envs
    )
    return Exploration(algo.epsilon_initial, final.to(device), algo.epsilon_decay_agent_steps)


def judged_policy(config: Config, model: QNetwork, greedy: bool) -> EpsilonGreedyPolicy:
    """How a trained network is judged: hardly exploring, or not at all if `greedy`."""
    epsilon = 0.0 if greedy else config.algo.epsilon_eval
    constant = Exploration.constant(epsilon, next(model.parameters()).device)
    return EpsilonGreedyPolicy(model, q_algorithm(config.algo).q_values, constant)


def ring_device(config: Config, derived: Derived, spec: EnvSpec, state_size: int) -> torch.device:
    """Where a rank's steps are kept: on its GPU if they fit, else on the host."""
    device, host = torch.device(derived.device), torch.device("cpu")
    if device == host:
        return host
    algo = config.algo
    rows = ring_rows(algo.replay_capacity, config.sampler.num_envs, algo.rollout_length)
    fields = ring_fields(spec, rows, derived.envs_per_learner, algo.rollout_length, state_size)
    sharing = derived.num_learners if config.device.startswith("cuda:") else 1
    free, _ = torch.cuda.mem_get_info(device)
    return device if bytes_needed(fields) * sharing <= GPU_SHARE * free else host


def replay_learner(
    config: Config, derived: Derived, spec: EnvSpec, model: QNetwork, precision: str, ranks: Ranks
) -> ReplayLearner:
    """The learner that owns `model` from here on, with its replay."""
    algo, device = config.algo, torch.device(derived.device)
    # Asynchronous learners have replays of their own, each with its share of what is global.
    num_replays = derived.num_learners // ranks.size
    replay = Replay(
        spec,
        _reader(config, derived),
        capacity=algo.replay_capacity // num_replays,
        num_envs=config.sampler.num_envs // num_replays,
        rollout_length=algo.rollout_length,
        priority_exponent=algo.priority_exponent if algo.prioritized else None,
        state_size=model.state_size,
        seed=config.seed,
        device=device,
        ring_device=ring_device(config, derived, spec, model.state_size),
        ranks=ranks,
    )
    target_model = target_network(model)
    flat = FlatParameters(model, device, precision)
    return ReplayLearner(
        _lesson(config, derived, model, target_model),
        replay,
        flat,
        FlatParameters(target_model, device, precision),
        optimizer(algo, flat.master),
        learning_rate(config, derived),
        Linear(algo.importance_exponent, algo.importance_exponent_final, config.total_agent_steps),
        Pace(
            batch_size=algo.batch_size,
            replay_ratio=algo.replay_ratio,
            learning_starts=algo.learning_starts // num_replays,
            target_interval=algo.target_interval_agent_steps,
            samples_per_item=samples_per_item(config),
        ),
        max_grad_norm=algo.max_grad_norm,
        seed=config.seed,
        ranks=ranks,
        # The parts of a batch that several ranks hold differ in size from draw to draw.
        graphs=CudaGraphs(device) if derived.cuda_graphs and ranks.size == 1 else None,
    )


def _reader(config: Config, derived: Derived) -> TransitionReader | EpisodeReader | SequenceReader:
    """What an item of the replay is."""
    algo = config.algo
    if isinstance(algo, R2D2Config):
        return SequenceReader(algo.burn_in, algo.sequence_length, algo.n_step)
    view = View(derived.terminal_on_life_loss, derived.clip_rewards)
    if algo.target == "monte_carlo":
        return EpisodeReader(algo.discount, view)
    return TransitionReader(algo.n_step, algo.discount, view)


def _lesson(
    config: Config, derived: Derived, model: QNetwork, target_model: QNetwork
) -> TransitionLesson | SequenceLesson:
    """What is learned from a batch of them."""
    algo = config.algo
    algorithm = q_algorithm(algo)
    if isinstance(algorithm, R2D2):
        return SequenceLesson(
            model,
            target_model,
            algorithm,
            algo.burn_in,
            View(derived.terminal_on_life_loss, derived.clip_rewards),
        )
    num_taus = algo.num_quantiles if algo.distribution == "implicit" else None
    return TransitionLesson(model, target_model, algorithm, num_taus)
