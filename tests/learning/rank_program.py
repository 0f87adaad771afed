"""What each rank of the learning tests does, in a process of its own."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import torch

from accel.algos import A2C, IMPALA, PPO, Linear, Ranks
from accel.learning import Learner, build_learner
from accel.learning.sync import Alone, RankError, Together
from accel.models import build_model
from accel.types import Rollout
from tests.learning import q_learners

NUM_UPDATES = 50
ALGORITHMS = {
    "a2c": A2C(normalize_advantages=True),
    "ppo": PPO(num_epochs=2, num_minibatches=3, target_kl=0.02),
    "recurrent_ppo": PPO(num_epochs=2, num_minibatches=3),
    "impala": IMPALA(num_minibatches=3),
}
REPLAYED = ("dqn", "monte_carlo", "few", "rainbow", "noisy_iqn", "r2d2")  # of `q_learners.KINDS`
CORE_SIZE = 8


def meet(rank: int, size: int, folder: Path, backend: str = "gloo") -> Alone:
    """Join the ranks that meet over `folder`; a rank of one is alone, on gloo."""
    torch.set_num_threads(1)
    if size == 1 and backend == "gloo":
        return Alone()
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=(folder / "port").read_text())
    return Together(rank, size, backend=backend, timeout_s=60)


def new_learner(algorithm: str, ranks: Ranks, device: str = "cpu") -> Learner:
    torch.manual_seed(0)
    core = "gru" if algorithm.startswith("recurrent") else "none"
    sizes = ("nature_cnn", (36, 36), 2, 4, 16)
    model = build_model(*sizes, initialization="default", core=core, core_size=CORE_SIZE)
    rate = Linear(1e-3, 0.0, NUM_UPDATES)
    return build_learner(
        model,
        ALGORITHMS[algorithm],
        rate,
        device=device,
        optimizer="rmsprop",
        # Large: a sample that rounding puts on the other side of a ReLU's kink must move a weight
        # by less than the tests' tolerance (with 1e-3 it was 2e-5 on one CPU in three).
        optimizer_epsilon=0.1,
        ranks=ranks,
    )


def learn_on_gpu(rank: int, size: int, folder: Path) -> None:
    """A few updates on one GPU: by NCCL if this is its only rank, else by gloo."""
    team = meet(rank, size, folder, "nccl" if size == 1 else "gloo")
    learner = new_learner("ppo", team.ranks, "cuda:0")
    for rollout in torch.load(folder / "rollouts.pt", weights_only=True):
        ours = share_of(Rollout(**rollout), rank, size)
        tensors = {name: tensor for name, tensor in vars(ours).items() if tensor is not None}
        on_gpu = Rollout(**{name: tensor.cuda() for name, tensor in tensors.items()})
        learner.update(on_gpu, 0)
    team.check_equal(learner.flat.master)
    torch.save(learner.flat.master.cpu(), folder / f"gpu_{size}_{rank}.pt")
    team.close()


def share_of(rollout: Rollout, rank: int, size: int) -> Rollout:
    """The rank's columns of a global rollout."""
    each = rollout.actions.shape[1] // size
    columns = slice(rank * each, (rank + 1) * each)
    tensors = {name: tensor for name, tensor in vars(rollout).items() if tensor is not None}
    parts = {name: tensor[:, columns] for name, tensor in tensors.items() if tensor.ndim > 1}
    if rollout.state is not None:
        parts["state"] = rollout.state[columns]
    return Rollout(**{**tensors, **parts})


def learn(rank: int, size: int, folder: Path) -> None:
    """Fifty updates of each algorithm on the stored rollouts; the outcome goes to `folder`."""
    team = meet(rank, size, folder)
    rollouts = torch.load(folder / "rollouts.pt", weights_only=True)
    for algorithm in ALGORITHMS:
        learner, history = new_learner(algorithm, team.ranks), []
        for update in range(NUM_UPDATES):
            rollout = Rollout(**rollouts[update % len(rollouts)])
            if learner.model.state_size:
                num_envs = rollout.actions.shape[1]
                rollout.state = torch.linspace(-1, 1, num_envs * CORE_SIZE).view(num_envs, -1)
            metrics = learner.update(share_of(rollout, rank, size), update)
            history.append(torch.stack([metrics[name] for name in sorted(metrics)]))
        team.check_equal(learner.flat.master)
        result = {"weights": learner.flat.master, "metrics": torch.stack(history)}
        torch.save(result, folder / f"{algorithm}_{size}_{rank}.pt")
    team.close()


def learn_from_replay(rank: int, size: int, folder: Path) -> None:
    """Fifty updates of each kind on the stored rollouts; the outcome goes to `folder`."""
    team = meet(rank, size, folder)
    rollouts = torch.load(folder / "rollouts.pt", weights_only=True)
    for name in REPLAYED:
        learner = q_learners.new_learner(q_learners.KINDS[name], ranks=team.ranks)
        history, agent_steps = [], 0
        for fields in itertools.cycle(rollouts):
            rollout = Rollout(**fields)
            metrics = learner.update(share_of(rollout, rank, size), agent_steps)
            agent_steps += rollout.actions.numel()
            if metrics:
                history.append(torch.stack([metrics[term] for term in sorted(metrics)]))
            if learner.num_updates >= NUM_UPDATES:
                break
        team.check_equal(learner.flat.master)
        result = {"weights": learner.flat.master, "metrics": torch.stack(history)}
        torch.save(result, folder / f"{name}_{size}_{rank}.pt")
    team.close()


def differ(rank: int, size: int, folder: Path) -> None:
    """Rank 1's weights differ in one bit."""
    team = meet(rank, size, folder)
    weights = torch.ones(1000)
    if rank == 1:
        weights.view(torch.int32)[500] += 1
    try:
        team.check_equal(weights)
    except RankError as error:
        (folder / f"error_{rank}").write_text(str(error))
    raised = team.any([rank == 2, False])
    (folder / f"any_{rank}").write_text(str(raised))
    (folder / f"gathered_{rank}").write_text(str(team.gather(rank * 10)))
    (folder / f"gathered_first_{rank}").write_text(str(team.gather_first(rank * 10)))
    team.close()


def die(rank: int, size: int, folder: Path) -> None:
    """Rank 1 goes without a word; the others are in an exchange."""
    team = meet(rank, size, folder)
    if rank == 1:
        os._exit(1)
    try:
        team.ranks.total(torch.ones(10))
    except RankError as error:
        (folder / f"error_{rank}").write_text(str(error))
