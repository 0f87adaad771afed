"""One contender of the replay benchmark: a process that draws batches when told to.

    python replaying.py NAME CAPACITY BATCH_SIZE NUM_THREADS DEVICE

All hold transitions of 3 steps over frames of 84 x 84 with stacks of 4, in a full prioritized
replay, and do what a learner does for one batch: draw it, with both stacks of each transition and
importance weights, and set new priorities. DEVICE, cpu or cuda, is where `copy` and `ours` hold
their frames.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable

import numpy as np
from serving import serve

NUM_ENVS, ROLLOUT_LENGTH, STACK, FRAME = 16, 64, 4, (84, 84)
N_STEP, DISCOUNT, ALPHA, BETA = 3, 0.99, 0.6, 0.4
END_PROBABILITY = 0.002  # of a step to end an episode
SEED = 0


def copy(capacity: int, batch_size: int, device: str) -> Callable[[], object]:
    """Only copies as many bytes as the two stacks of a batch have. The limit of the memory."""
    import torch

    from accel.learning import keep_freed_memory

    keep_freed_memory()
    frames = torch.ones(capacity, *FRAME, dtype=torch.uint8, device=device)
    num_frames = min(capacity, 2 * STACK * batch_size)
    batches = itertools.cycle(frames.split(num_frames)[: capacity // num_frames])
    return _finished(lambda: next(batches).clone(), device)


def ours(capacity: int, batch_size: int, device: str) -> Callable[[], object]:
    """accel's replay: each frame once, gathered by torch."""
    import torch

    from accel.learning import keep_freed_memory
    from accel.replay import Replay, TransitionReader
    from accel.types import EnvSpec, Rollout

    keep_freed_memory()  # as every accel run does
    replay = Replay(
        EnvSpec(FRAME, "uint8", STACK, 18, 4),
        TransitionReader(N_STEP, DISCOUNT),
        capacity=capacity,
        num_envs=NUM_ENVS,
        rollout_length=ROLLOUT_LENGTH,
        priority_exponent=ALPHA,
        seed=SEED,
        device=device,
    )
    torch.manual_seed(SEED)
    shape = (ROLLOUT_LENGTH, NUM_ENVS)
    never = torch.zeros(shape, dtype=torch.bool)
    frames = (ROLLOUT_LENGTH + STACK, NUM_ENVS, *FRAME)
    rollout = Rollout(
        frames=torch.randint(0, 256, frames, dtype=torch.uint8),
        age=torch.full((shape[0] + 1, shape[1]), 99, dtype=torch.int32),
        actions=torch.randint(0, 18, shape),
        rewards=torch.randn(shape),
        terminated=torch.rand(shape) < END_PROBABILITY,
        truncated=never,
        life_lost=never,
        valid=~never,
        log_probs=torch.zeros(*shape, 18),
        values=torch.zeros(shape[0] + 1, shape[1]),
        policy_version=torch.zeros(ROLLOUT_LENGTH, dtype=torch.int64),
    )
    fields = {name: tensor for name, tensor in vars(rollout).items() if tensor is not None}
    rollout = Rollout(**{name: tensor.to(device) for name, tensor in fields.items()})
    for _ in range(capacity // rollout.actions.numel()):
        replay.append(rollout)

    def learn() -> None:
        draw, _ = replay.sample(batch_size, BETA)
        replay.update_priorities(draw, torch.rand(batch_size, device=device))

    return _finished(learn, device)


def loop(capacity: int, batch_size: int, device: str) -> Callable[[], object]:
    """The way of rlpyt: each frame once, stacks gathered one by one in Python from numpy arrays.

    Returns over the 3 steps are worked out on the way in, so that drawing only looks them up.
    """
    num_rows, rng = capacity // NUM_ENVS, np.random.default_rng(SEED)
    cells = (num_rows, NUM_ENVS)
    frames = np.empty((num_rows + STACK - 1, NUM_ENVS, *FRAME), np.uint8)
    frames[:] = rng.integers(0, 256, (NUM_ENVS, *FRAME), np.uint8)
    actions, returns = rng.integers(0, 18, cells), rng.normal(size=cells).astype(np.float32)
    done = rng.random(cells) < END_PROBABILITY
    depth = int(np.ceil(np.log2(num_rows * NUM_ENVS)))
    tree = np.zeros(2 << depth)
    leaf = 1 << depth

    def set_priorities(items: np.ndarray, priorities: np.ndarray) -> None:
        nodes = items + leaf
        tree[nodes] = priorities
        for _ in range(depth):
            nodes = np.unique(nodes // 2)
            tree[nodes] = tree[2 * nodes] + tree[2 * nodes + 1]

    def find(mass: np.ndarray) -> np.ndarray:
        nodes = np.ones(len(mass), np.int64)
        for _ in range(depth):
            nodes *= 2
            left = tree[nodes]
            is_right = mass >= left
            mass = np.where(is_right, mass - left, mass)
            nodes += is_right
        return nodes - leaf

    def stacks(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        stacked = np.stack([frames[t : t + STACK, b] for t, b in zip(rows, columns)])
        for back in range(1, STACK):  # frames of an episode before are blank
            stacked[done[rows - back, columns], : STACK - back] = 0
        return stacked

    inner = np.arange(STACK * NUM_ENVS, (num_rows - N_STEP) * NUM_ENVS)
    set_priorities(inner, np.ones(len(inner)))

    def learn() -> tuple[np.ndarray, ...]:
        items = find(rng.random(batch_size) * tree[1])
        rows, columns = items // NUM_ENVS, items % NUM_ENVS
        weights = (1.0 / tree[items + leaf]) ** BETA
        batch = (
            stacks(rows, columns),
            actions[rows, columns],
            returns[rows, columns],
            done[rows, columns],
            stacks(rows + N_STEP, columns),
            (weights / weights.max()).astype(np.float32),
        )
        set_priorities(items, (rng.random(batch_size) + 1e-6) ** ALPHA)
        return batch

    return learn


def torchrl(capacity: int, batch_size: int, device: str) -> Callable[[], object]:
    """torchrl's prioritized replay with its sum tree in C++; it keeps both stacks of every step."""
    from torchrl.data import LazyTensorStorage, TensorDictPrioritizedReplayBuffer  # isort: skip
    import torch
    from tensordict import TensorDict

    torch.manual_seed(SEED)
    replay = TensorDictPrioritizedReplayBuffer(
        alpha=ALPHA,
        beta=BETA,
        storage=LazyTensorStorage(capacity),
        batch_size=batch_size,
        priority_key="td_error",
    )
    stacks = torch.randint(0, 256, (ROLLOUT_LENGTH, STACK, *FRAME), dtype=torch.uint8)
    steps = {
        "observation": stacks,
        "action": torch.randint(0, 18, (ROLLOUT_LENGTH,)),
        "td_error": torch.ones(ROLLOUT_LENGTH),
        "next": {
            "observation": stacks,
            "reward": torch.randn(ROLLOUT_LENGTH, 1),
            "terminated": torch.rand(ROLLOUT_LENGTH, 1) < END_PROBABILITY,
        },
    }
    for _ in range(capacity // ROLLOUT_LENGTH):
        replay.extend(TensorDict(steps, batch_size=[ROLLOUT_LENGTH]))

    def learn() -> None:
        batch = replay.sample()
        batch["td_error"] = torch.rand(batch_size)
        replay.update_tensordict_priority(batch)

    return learn


CONTENDERS = {"copy": copy, "ours": ours, "loop": loop, "torchrl": torchrl}


def main() -> None:
    """Fill the contender named on the command line and serve timed rounds."""
    name, device = sys.argv[1], sys.argv[5]
    capacity, batch_size, num_threads = map(int, sys.argv[2:5])
    os.environ["OMP_NUM_THREADS"] = str(num_threads)  # read when torch is imported
    serve(lambda: _counted(CONTENDERS[name](capacity, batch_size, device)))


def _finished(act: Callable[[], object], device: str) -> Callable[[], object]:
    """`act`, and on a GPU wait until it is done."""
    import torch

    if device == "cpu":
        return act

    def act_and_wait() -> None:
        act()
        torch.cuda.synchronize()

    return act_and_wait


def _counted(learn: Callable[[], object]) -> Callable[[], int]:
    def advance() -> int:
        learn()
        return 1

    return advance


if __name__ == "__main__":
    main()
