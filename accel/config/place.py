"""Which rank of a job this process is, by the names that torchrun gives the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from accel.config.errors import UserError

_NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """Rank `rank` of `size`; `local_*` count on this machine. A job of its own is 0 of 1."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    cores_shared_by: int = 1  # ranks among which this process's usable cores are divided
    is_given: bool = False  # a launcher has started this process as a rank

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Place:
        """Read torchrun's variables; LOCAL_WORLD_SIZE says that so many ranks share the cores.

        Raises:
            UserError: some are there and others missing, or they are not numbers that fit.
        """
        if "RANK" not in environment and "WORLD_SIZE" not in environment:
            return cls()
        missing = [name for name in _NEEDED if name not in environment]
        if missing:
            raise UserError(
                f"this process is started as a rank, but {', '.join(missing)} is not set: a "
                "launcher must set " + ", ".join(_NEEDED) + " (torchrun does)"
            )
        numbers = {name: environment[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
        numbers["LOCAL_WORLD_SIZE"] = environment.get("LOCAL_WORLD_SIZE", "1")
        for name, value in numbers.items():
            if not value.isdigit():
                raise UserError(f"{name}={value!r} must be a number, as torchrun sets it")
        rank, size, local_rank, local_size = map(int, numbers.values())
        if rank >= size:
            raise UserError(f"RANK={rank} must be less than WORLD_SIZE={size}")
        return cls(rank, size, local_rank, max(1, local_size), is_given=True)
