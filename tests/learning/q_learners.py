"""Small replay learners of every kind, for one rank or several."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from accel.algos import (
    ALONE,
    C51,
    DQN,
    R2D2,
    Constant,
    Linear,
    QAlgorithm,
    QuantileRegression,
    Ranks,
)
from accel.algos.munchausen import Munchausen
from accel.learning.flat import FlatParameters
from accel.learning.optimizers import build_optimizer
from accel.learning.replay_learner import Pace, ReplayLearner, target_network
from accel.learning.sequence_lesson import SequenceLesson
from accel.learning.transition_lesson import TransitionLesson
from accel.models import QNetwork, build_q_network
from accel.models.graphs import Graphs
from accel.replay import EpisodeReader, Replay, SequenceReader, TransitionReader
from accel.types import EnvSpec

NUM_ENVS = 8  # of all ranks
NUM_STEPS = 5  # of a rollout
SPEC = EnvSpec((36, 36), "uint8", frame_stack=2, num_actions=4, frame_skip=1)
SEED = 3
LEARNING_RATE = 1e-3
OPTIMIZER_EPSILON = 1e-3


BURN_IN, SEQUENCE_LENGTH = 2, 4
STATE_SIZE = 8  # of an LSTM of 4 units


@dataclass(frozen=True)
class Kind:
    """What one learner differs in from the others."""

    algorithm: QAlgorithm | R2D2 = field(default_factory=DQN)
    network: dict[str, Any] = field(default_factory=dict)
    n_step: int = 1
    prioritized: bool = False
    num_taus: int | None = None
    whole_episodes: bool = False
    batch_size: int = 16


ATOMS = {"head": "categorical", "num_outputs": 7}
KINDS = {
    "dqn": Kind(),
    "few": Kind(batch_size=3),  # of four ranks one is without a sample in every batch
    "monte_carlo": Kind(whole_episodes=True, prioritized=True),
    "munchausen": Kind(DQN(munchausen=Munchausen())),
    "double": Kind(DQN(double=True), n_step=3, prioritized=True),
    "c51": Kind(C51(-3.0, 3.0), ATOMS),
    "rainbow": Kind(C51(-3.0, 3.0, double=True), {**ATOMS, "dueling": True}, 3, prioritized=True),
    "qr_dqn": Kind(QuantileRegression(), {"head": "quantile", "num_outputs": 5}),
    "iqn": Kind(QuantileRegression(), {"head": "implicit", "num_outputs": 5}, num_taus=6),
}
KINDS["noisy_iqn"] = replace(KINDS["iqn"], network={**KINDS["iqn"].network, "noisy": True})
# As many samples in a batch, 4 x 4. Rollouts need a state of STATE_SIZE, which others ignore.
LSTM = {"core": "lstm", "core_size": STATE_SIZE // 2, "dueling": True}
KINDS["r2d2"] = Kind(R2D2(n_step=2, discount=0.9), LSTM, 2, prioritized=True, batch_size=4)
# 40 agent steps a rollout: from the second one on 2 updates of 16 samples, new targets from the
# third one on after every second one.
PACE = Pace(batch_size=16, replay_ratio=0.8, learning_starts=80, target_interval=80)


def new_model(kind: Kind) -> QNetwork:
    torch.manual_seed(0)
    return build_q_network(
        "small_cnn", (36, 36), 2, 4, 16, initialization="default", **kind.network
    )


def new_replay(
    kind: Kind, rollout_length: int = NUM_STEPS, ranks: Ranks = ALONE, device: str = "cpu"
) -> Replay:
    """Thirty steps of each environment are kept."""
    is_recurrent = isinstance(kind.algorithm, R2D2)
    reader: SequenceReader | EpisodeReader | TransitionReader
    if is_recurrent:
        reader = SequenceReader(BURN_IN, SEQUENCE_LENGTH, kind.n_step)
    elif kind.whole_episodes:
        reader = EpisodeReader(discount=0.9)
    else:
        reader = TransitionReader(n_step=kind.n_step, discount=0.9)
    return Replay(
        SPEC,
        reader,
        capacity=30 * NUM_ENVS,
        num_envs=NUM_ENVS,
        rollout_length=rollout_length,
        priority_exponent=0.6 if kind.prioritized else None,
        state_size=STATE_SIZE if is_recurrent else 0,
        seed=SEED,
        device=device,
        ranks=ranks,
    )


def new_lesson(kind: Kind, model: QNetwork, target: QNetwork) -> TransitionLesson | SequenceLesson:
    if isinstance(kind.algorithm, R2D2):
        return SequenceLesson(model, target, kind.algorithm, BURN_IN)
    return TransitionLesson(model, target, kind.algorithm, kind.num_taus)


def new_learner(
    kind: Kind,
    *,
    pace: Pace = PACE,
    rollout_length: int = NUM_STEPS,
    max_samples_per_pass: int | None = None,
    ranks: Ranks = ALONE,
    device: str = "cpu",
    graphs: Graphs | None = None,
) -> ReplayLearner:
    """A learner whose batches are the kind's, whatever `pace` says of them."""
    model = new_model(kind)
    target_model = target_network(model)
    flat = FlatParameters(model, torch.device(device), "fp32")
    return ReplayLearner(
        new_lesson(kind, model, target_model),
        new_replay(kind, rollout_length, ranks, device),
        flat,
        FlatParameters(target_model, torch.device(device), "fp32"),
        build_optimizer("adam", flat.master, epsilon=OPTIMIZER_EPSILON),
        Constant(LEARNING_RATE),
        Linear(0.4, 1.0, 1000),
        replace(
            pace,
            batch_size=kind.batch_size,
            samples_per_item=SEQUENCE_LENGTH if isinstance(kind.algorithm, R2D2) else 1,
        ),
        max_grad_norm=1.0,
        seed=SEED,
        graphs=graphs,
        max_samples_per_pass=max_samples_per_pass,
        ranks=ranks,
    )
