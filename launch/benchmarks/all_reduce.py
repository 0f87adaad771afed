"""Median milliseconds of an all-reduce between ranks on this machine, as JSON.

python all_reduce.py LEARNERS DEVICE ELEMENTS
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from accel.config.place import Place
from accel.launching.ranks import launch_ranks

ROUNDS = 100


def main() -> None:
    """As the typed command: start the ranks. As one of them: exchange."""
    _, learners, device, elements = sys.argv
    if not Place.from_environment().is_given:
        sys.exit(launch_ranks([sys.executable, *sys.argv], int(learners)))
    exchange(device, int(elements))


def exchange(device: str, elements: int) -> None:
    import torch

    from accel.learning.sync import Together

    place = Place.from_environment()
    own = torch.device(f"cuda:{place.local_rank}" if device == "cuda" else device)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    backend = "nccl" if own.type == "cuda" else "gloo"
    team = Together(place.rank, place.size, backend=backend, timeout_s=60)
    gradient = torch.ones(elements, device=own)
    seconds = []
    for _ in range(ROUNDS):
        gradient.fill_(1.0)
        if own.type == "cuda":
            torch.cuda.synchronize()
        start = perf_counter()
        total = team.ranks.total(gradient)
        if own.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(perf_counter() - start)
    assert bool((total == place.size).all())
    if place.rank == 0:
        print(json.dumps({"ms": 1e3 * statistics.median(seconds)}))
    team.close()


if __name__ == "__main__":
    main()
