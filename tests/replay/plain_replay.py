"""Random games cut into rollouts, and the plainest possible replay of them, to compare with."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from accel.replay import Replay
from accel.types import EnvSpec, Rollout

NUM_ACTIONS = 7
STATE_SIZE = 3


def make_spec(frame_stack: int, num_actions: int = NUM_ACTIONS) -> EnvSpec:
    """Frames are two integers, so that each can be told from all others."""
    return EnvSpec((2,), "int32", frame_stack, num_actions, 1)


@dataclass
class Step:
    """One row of one column, as lists of frames see it."""

    stack: list[tuple[int, int]]  # K frames, oldest first
    action: int
    reward: float
    terminated: bool
    truncated: bool
    life_lost: bool
    valid: bool
    is_first: bool


@dataclass
class Game:
    """One column: an endless run of random episodes of 1 to 20 steps, under NEXT_STEP."""

    column: int
    frame_stack: int
    rng: random.Random
    frames: list[tuple[int, int]] = field(default_factory=list)  # newest of each row
    ages: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stack: deque[tuple[int, int]] = deque(maxlen=self.frame_stack)
        self._start()

    def play(self) -> None:
        """One more row: a step, or a reset after an episode's end."""
        rng, is_reset = self.rng, self._steps_left == 0
        reward, life_lost = (0.0, False) if is_reset else (rng.gauss(0, 2), rng.random() < 0.1)
        ends = not is_reset and self._steps_left == 1
        end = rng.choice(["terminated", "truncated", "both"]) if ends else ""
        self.steps.append(
            Step(
                stack=list(self._stack),
                action=rng.randrange(NUM_ACTIONS),
                reward=float(np.float32(reward)),
                terminated=end in ("terminated", "both"),
                truncated=end in ("truncated", "both"),
                life_lost=life_lost,
                valid=not is_reset,
                is_first=self._age == 0,
            )
        )
        if is_reset:
            self._start()
        else:
            self._steps_left -= 1
            self._age += 1
            self._show()

    def _start(self) -> None:
        self._age, self._steps_left = 0, self.rng.randint(1, 20)
        frame = self._show()
        self._stack.extend([frame] * self.frame_stack)

    def _show(self) -> tuple[int, int]:
        frame = (self.column, len(self.frames))
        self._stack.append(frame)
        self.frames.append(frame)
        self.ages.append(self._age)
        return frame


class RandomGames:
    """B columns of random games, handed out as rollouts of T steps."""

    def __init__(self, num_envs: int, rollout_length: int, frame_stack: int, seed: int) -> None:
        self.num_envs, self.length, self.frame_stack = num_envs, rollout_length, frame_stack
        self.columns = [
            Game(column, frame_stack, random.Random(f"{seed} {column}"))
            for column in range(num_envs)
        ]
        self.states: list[torch.Tensor] = []

    @property
    def num_rows(self) -> int:
        return len(self.columns[0].steps)

    def rollout(self) -> Rollout:
        """Play T steps of all columns."""
        start = self.num_rows
        for game in self.columns:
            for _ in range(self.length):
                game.play()
        rows = range(start, self.num_rows)
        history = range(start - self.frame_stack + 1, self.num_rows + 1)
        frames = [[game.frames[max(row, 0)] for game in self.columns] for row in history]
        ages = [[game.ages[row] for game in self.columns] for row in range(start, rows.stop + 1)]
        shape = (self.length, self.num_envs)
        generator = torch.Generator().manual_seed(start)
        self.states.append(torch.randn(self.num_envs, STATE_SIZE, generator=generator))
        return Rollout(
            frames=torch.tensor(frames, dtype=torch.int32),
            age=torch.tensor(ages, dtype=torch.int32),
            actions=self._table(rows, "action", torch.int64),
            rewards=self._table(rows, "reward", torch.float32),
            terminated=self._table(rows, "terminated", torch.bool),
            truncated=self._table(rows, "truncated", torch.bool),
            life_lost=self._table(rows, "life_lost", torch.bool),
            valid=self._table(rows, "valid", torch.bool),
            log_probs=torch.zeros(*shape, NUM_ACTIONS),
            values=torch.zeros(self.length + 1, self.num_envs),
            policy_version=torch.zeros(self.length, dtype=torch.int64),
            state=self.states[-1],
        )

    def _table(self, rows: range, name: str, dtype: torch.dtype) -> torch.Tensor:
        table = [[getattr(game.steps[row], name) for game in self.columns] for row in rows]
        return torch.tensor(table, dtype=dtype)


def to_device(rollout: Rollout, device: str) -> Rollout:
    return Rollout(**{name: tensor.to(device) for name, tensor in vars(rollout).items()})


def columns_of(rollout: Rollout, columns: slice) -> Rollout:
    """The part of a rollout that one rank collects."""
    parts = {
        name: tensor[:, columns]
        for name, tensor in vars(rollout).items()
        if name not in ("policy_version", "state")
    }
    return Rollout(
        **parts, policy_version=rollout.policy_version, state=rollout.state[columns].clone()
    )


class PlainReplay:
    """A list of steps for each column, read one by one in plain Python."""

    def __init__(self, games: RandomGames, num_rows: int) -> None:
        self.games, self.num_rows = games, num_rows

    @property
    def held(self) -> range:
        """Rows that a ring of `num_rows` still has."""
        return range(max(self.games.num_rows - self.num_rows, 0), self.games.num_rows)

    def transitions(self, n_step: int) -> set[tuple[int, int]]:
        """(row, column) of every transition that may be sampled."""
        return {
            (row, game.column)
            for row in self._rows_with_surroundings(n_step)
            for game in self.games.columns
            if game.steps[row].valid
        }

    def whole_episodes(self, terminal_on_life_loss: bool) -> set[tuple[int, int]]:
        """(row, column) of every step whose episode's end, and the row after it, is there."""
        return {
            (row, game.column)
            for row in self._rows_with_surroundings(1)
            for game in self.games.columns
            if game.steps[row].valid
            and any(
                step.terminated or step.truncated or (terminal_on_life_loss and step.life_lost)
                for step in game.steps[row:-1]
            )
        }

    def sequences(self, num_steps: int) -> set[tuple[int, int]]:
        """(row, column) of every sequence of `num_steps` rows that may be sampled."""
        return {
            (row, column)
            for row in self._rows_with_surroundings(num_steps - 1)
            if row % self.games.length == 0
            for column in range(self.games.num_envs)
        }

    def _rows_with_surroundings(self, reach: int) -> list[int]:
        before = self.games.frame_stack - 1
        return [row for row in self.held if row - before in self.held and row + reach in self.held]

    def transition(
        self,
        row: int,
        column: int,
        n_step: int,
        discount: float,
        terminal_on_life_loss: bool,
        clip_rewards: bool,
    ) -> dict[str, Any]:
        """The fields of `Transitions` for one item."""
        steps = self.games.columns[column].steps
        total, scale = 0.0, 1.0
        at = row
        while at < row + n_step and scale > 0:
            step = steps[at]
            reward = step.reward
            if clip_rewards:
                reward = float(reward > 0) - float(reward < 0)
            total += scale * reward
            scale *= discount
            at += 1
            if step.terminated or (terminal_on_life_loss and step.life_lost):
                scale = 0.0
            elif step.truncated:
                break
        return {
            "observations": steps[row].stack,
            "actions": steps[row].action,
            "returns": total,
            "bootstrap": scale,
            "next_observations": steps[at].stack,
            "next_actions": steps[at].action,
        }


def sampleable(replay: Replay, num_written: int) -> set[tuple[int, int]]:
    """(row since the start of the run, column) of every item that `replay` may draw."""
    items, num_rows = replay._items, replay._ring.num_rows
    device = replay._ring.frames.device
    places = torch.arange(num_rows // items.window.stride * items.num_envs, device=device)
    rows, columns = items.place(places[items.weights(places) > 0])
    oldest = num_written - num_rows
    since_start = [oldest + (row - oldest) % num_rows for row in rows.tolist()]
    return set(zip(since_start, columns.tolist()))
