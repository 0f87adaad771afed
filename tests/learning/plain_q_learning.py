"""Q-learning from the same replay as a plain torch loop, with every loss written out."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from accel.algos import C51
from accel.learning.replay_learner import Pace
from accel.models import QNetwork
from accel.replay import Replay, Transitions
from accel.types import Rollout
from tests.learning.q_learners import (
    LEARNING_RATE,
    NUM_ENVS,
    NUM_STEPS,
    OPTIMIZER_EPSILON,
    SEED,
    Kind,
)

Losses = tuple[Tensor, Tensor]  # losses [n] and priorities [n]


def dqn_losses(kind: Kind, output, chooser, following, batch: Transitions, n: Tensor) -> Losses:
    best = chooser.values[:, :, 0].argmax(1)
    targets = batch.returns + batch.bootstrap * following.values[n, best, 0]
    taken = output.values[n, batch.actions, 0]
    return F.smooth_l1_loss(taken, targets, reduction="none"), (taken - targets).abs()


def c51_losses(kind: Kind, output, chooser, following, batch: Transitions, n: Tensor) -> Losses:
    """The projection as a loop over samples and atoms, with floor and ceiling."""
    assert isinstance(kind.algorithm, C51)
    low, high, num_atoms = kind.algorithm.v_min, kind.algorithm.v_max, output.values.shape[2]
    atoms = torch.linspace(low, high, num_atoms)
    best = (chooser.values.softmax(2) * atoms).sum(2).argmax(1)
    probs = following.values.softmax(2)[n, best]
    targets = torch.zeros_like(probs)
    for i in n.tolist():
        for j in range(num_atoms):
            moved = float(batch.returns[i] + batch.bootstrap[i] * atoms[j])
            place = (min(max(moved, low), high) - low) / (high - low) * (num_atoms - 1)
            below = min(int(place), num_atoms - 2)
            targets[i, below] += probs[i, j] * (below + 1 - place)
            targets[i, below + 1] += probs[i, j] * (place - below)
    log_probs = output.values.log_softmax(2)[n, batch.actions]
    losses = -(targets * log_probs).sum(1)
    return losses, F.kl_div(log_probs, targets, reduction="none").sum(1)


def quantile_losses(kind: Kind, output, chooser, following, batch, n: Tensor) -> Losses:
    """One pair of quantiles after the other."""
    best = chooser.values.mean(2).argmax(1)
    losses = torch.zeros(len(n))
    num_targets = following.values.shape[2]
    for i in range(output.values.shape[2]):
        taken, tau = output.values[n, batch.actions, i], output.taus[:, i]
        for j in range(num_targets):
            target = batch.returns + batch.bootstrap * following.values[n, best, j]
            tilt = torch.where(target < taken, 1 - tau, tau)
            losses = losses + tilt * F.huber_loss(taken, target, reduction="none") / num_targets
    return losses, losses


LOSSES = {
    "dqn": dqn_losses,
    "double": dqn_losses,
    "c51": c51_losses,
    "rainbow": c51_losses,
    "qr_dqn": quantile_losses,
    "iqn": quantile_losses,
}


def learn(
    name: str, kind: Kind, model: QNetwork, replay: Replay, pace: Pace, rollouts: list[Rollout]
) -> list[list[dict[str, float]]]:
    """Learn with Adam; per rollout, the metrics of each update."""
    pace = replace(pace, batch_size=kind.batch_size)
    target_model = copy.deepcopy(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, eps=OPTIMIZER_EPSILON)
    generator = torch.Generator().manual_seed(SEED)
    per_rollout = NUM_STEPS * NUM_ENVS
    history = []
    for index, rollout in enumerate(rollouts):
        replay.append(rollout)
        history.append([])
        is_learning = (index + 1) * per_rollout >= pace.learning_starts
        updates = int(per_rollout * pace.replay_ratio / pace.batch_size)
        for _ in range(updates if is_learning else 0):
            beta = 0.4 + 0.6 * index * per_rollout / 1000
            draw, batch = replay.sample(pace.batch_size, beta)
            taus = (None, None)
            if kind.num_taus is not None:
                taus = torch.rand(2, pace.batch_size, kind.num_taus, generator=generator)
            with torch.no_grad():
                following = target_model(batch.next_observations, taus[1])
                online = model(batch.next_observations)
            chooser = online if kind.algorithm.uses_next_online else following
            output = model(batch.observations, taus[0])
            n = torch.arange(pace.batch_size)
            losses, priorities = LOSSES[name](kind, output, chooser, following, batch, n)
            loss = (draw.weights * losses).sum()
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            replay.update_priorities(draw, priorities.detach())
            history[-1].append({"loss": loss.item(), "grad_norm": norm.item()})
        if (index + 1) * per_rollout % pace.target_interval == 0:
            target_model.load_state_dict(model.state_dict())
    return history
