"""What each rank of the tests of asynchronous learning does, in a process of its own."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from accel.algos import Ranks
from accel.learning import async_team
from accel.learning.async_ import SharedOptimizer
from accel.learning.async_team import Asynchronous, NotOneMachine
from accel.learning.optimizers import CPU_CHUNK, build_optimizer
from accel.learning.shared_parameters import SharedParameters, shared_fields
from accel.shared import Field, SharedBlock

SIZE = 3 * CPU_CHUNK + 64  # a last chunk that is smaller
NUM_PUSHES = 100
FIRST_STEP, NUM_STEPS = 1000, 2000


class Subtract:
    """Gradients that are whole numbers add up exactly, in any order."""

    def __init__(self, parameters: Tensor, state: Mapping[str, Tensor]) -> None:
        self._parameters, self._steps = parameters, state["step"]

    def step(self, gradient: Tensor, learning_rate: float) -> None:
        # In two halves: whoever looks in between sees a chunk of two minds.
        half = len(gradient) // 2
        self._parameters[:half] -= gradient[:half]
        self._parameters[half:] -= gradient[half:]
        self._steps += 1


def open_shared(path: str, ranks: Ranks, state: tuple[str, ...], timeout_s: float = 60.0):
    """The weights in a file that somebody holds open, opened anew: locks are between openings."""
    block = SharedBlock(shared_fields(SIZE, state), os.open(path, os.O_RDWR))
    return SharedParameters(block, ranks, timeout_s)


def push(rank: int, size: int, path: str, folder: Path) -> None:
    """Push `rank + 1` everywhere; note any chunk that is not the same all over, and the lags."""
    torch.set_num_threads(1)
    shared = open_shared(path, Ranks(rank, size), ())
    own = torch.zeros(SIZE)
    optimizer = SharedOptimizer(own, shared, Subtract)
    meet(rank, size, folder)
    gradient = torch.full((SIZE,), float(rank + 1))
    torn = 0
    for _ in range(NUM_PUSHES):
        optimizer.step(gradient, 1.0)
        torn += sum(bool((own[part] != own[part.start]).any()) for part in shared.chunks)
    torch.save((torn, vars(optimizer.pop_stats())), folder / f"pushed_{rank}.pt")


def push_adam(rank: int, size: int, path: str, folder: Path) -> None:
    """Push ones by Adam."""
    torch.set_num_threads(1)
    shared = open_shared(path, Ranks(rank, size), ("exp_avg", "exp_avg_sq"))
    optimizer = SharedOptimizer(torch.zeros(SIZE), shared, build_adam)
    meet(rank, size, folder)
    for _ in range(NUM_PUSHES):
        optimizer.step(torch.ones(SIZE), 1e-3)


def build_adam(parameters: Tensor, state: Mapping[str, Tensor]):
    return build_optimizer("adam", parameters, epsilon=1e-5, state=state)


def hold(rank: int, size: int, path: str, folder: Path) -> None:
    """Take chunk 1 and never give it back."""
    shared = open_shared(path, Ranks(rank, size), ())
    with shared.chunk(1):
        (folder / "held").touch()
        time.sleep(60)


def meet(rank: int, size: int, folder: Path) -> None:
    """Wait until all ranks have come here."""
    (folder / f"here_{rank}").touch()
    while len(list(folder.glob("here_*"))) < size:
        time.sleep(0.001)


def meet_now_and_then(rank: int, size: int, folder: Path) -> None:
    """Work at a pace of its own; ask to meet at random; note what is agreed and known there."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=(folder / "port").read_text())
    team = Asynchronous(rank, size, timeout_s=60)
    team.start(FIRST_STEP)
    chance = random.Random(rank)
    steps, rounds, meetings = FIRST_STEP, 0, []
    while True:
        wish = chance.random() < 0.05
        agreed = team.any([wish, steps >= FIRST_STEP + NUM_STEPS])
        if any(agreed):
            steps = team.advance(steps, 0)
            meetings.append((agreed, team.gather((rank, steps))))
        if agreed[1]:
            break
        time.sleep(rank * 1e-3)
        steps, rounds = team.advance(steps, rank + 1), rounds + 1
    torch.save((meetings, rounds), folder / f"met_{rank}.pt")
    team.close()


def share_with_stranger(rank: int, size: int, folder: Path) -> None:
    """Rank 1 finds the memory of an unrelated process where that of rank 0 should be."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=(folder / "port").read_text())
    stranger = SharedBlock([Field("mark", (1000,), "int64")])
    accept = async_team._accept
    if rank == 1:
        path = f"/proc/self/fd/{stranger.fd}"
        async_team._accept = lambda fields, _, mark: accept(fields, path, mark)
    try:
        Asynchronous(rank, size, timeout_s=60)
    except NotOneMachine as error:
        (folder / f"refused_{rank}").write_text(str(error))
