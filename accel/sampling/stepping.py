"""Steps a slice of a rollout's environments; the same code in a worker and in this process."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Protocol

import numpy as np

from accel.envs.batch import EnvBatch, EnvRecipe, Frames, StepArrays
from accel.types import EnvSpec, Span

RESET = -1  # as a step number: start all games


class Stepper(Protocol):
    """Who steps the environments: `Workers` or `SerialStepper`."""

    def release(self, group: int, slot: int, t: int) -> None: ...

    def wait(self, group: int) -> None: ...

    def state_dict(self) -> Any: ...

    def load_state_dict(self, states: Any) -> None: ...

    def busy_seconds(self) -> float: ...

    def spans(self) -> list[Span]: ...

    def close(self) -> None: ...


class SliceStepper:
    """The environments of columns `columns` of a rollout, which is also their global index."""

    def __init__(
        self,
        recipe: EnvRecipe,
        arrays: dict[str, np.ndarray],
        columns: slice,
        *,
        seed: int,
        first_index: int,
        decorrelation_steps: int,
    ) -> None:
        self._batch = EnvBatch(
            recipe,
            seed=seed,
            num_envs=columns.stop - columns.start,
            first_index=first_index + columns.start,
            decorrelation_steps=decorrelation_steps,
            episodic_return=arrays["episodic_return"][columns],
            episodic_length=arrays["episodic_length"][columns],
        )
        slots, rollout_length = arrays["actions"].shape[:2]
        first_row = self._batch.spec.frame_stack - 1

        screens = (
            [tuple(pair) for pair in arrays["screens"][columns]] if "screens" in arrays else []
        )

        def frames(slot: int, t: int) -> Frames:
            """Where what the environments show before step `t` is written."""
            return screens or list(arrays["frames"][slot, first_row + t, columns])

        self._first = [(frames(s, 0), arrays["age"][s, 0, columns]) for s in range(slots)]
        # Views made once: nothing is allocated per step.
        self._steps = [
            [
                (
                    arrays["actions"][s, t, columns],
                    StepArrays(
                        frames=frames(s, t + 1),
                        age=arrays["age"][s, t + 1, columns],
                        **{
                            name: arrays[name][s, t, columns]
                            for name in ("rewards", "terminated", "truncated", "life_lost", "valid")
                        },
                    ),
                )
                for t in range(rollout_length)
            ]
            for s in range(slots)
        ]

    def run(self, slot: int, t: int) -> None:
        """Do step `t` of the rollout in `slot`, or start all games if `t` is RESET."""
        if t == RESET:
            self._batch.reset(*self._first[slot])
        else:
            actions, out = self._steps[slot][t]
            self._batch.step(actions, out)

    def state_dict(self) -> list[dict[str, Any]]:
        """One state for each column."""
        return self._batch.state_dict()

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        self._batch.load_state_dict(states)

    def close(self) -> None:
        self._batch.close()


class SerialStepper:
    """All environments in this process, for debugging; the interface of `Workers`."""

    def __init__(
        self,
        recipe: EnvRecipe,
        arrays: dict[str, np.ndarray],
        groups: list[slice],
        *,
        seed: int,
        first_index: int = 0,
        decorrelation_steps: int = 0,
        num_spans: int = 0,
    ) -> None:
        """Remember the last `num_spans` steps for `spans`."""
        self._spans: deque[Span] = deque(maxlen=num_spans)
        self._steppers = [
            SliceStepper(
                recipe, arrays, group, seed=seed, first_index=first_index,
                decorrelation_steps=decorrelation_steps,
            )
            for group in groups
        ]  # fmt: skip
        self._groups = groups
        self._busy_s = 0.0

    def release(self, group: int, slot: int, t: int) -> None:
        """Step the environments of `group` now."""
        start = time.perf_counter()
        self._steppers[group].run(slot, t)
        end = time.perf_counter()
        self._busy_s += end - start
        self._spans.append(Span("environments", f"step, group {group}", start, end))

    def wait(self, group: int) -> None:
        """Nothing to wait for: `release` has stepped."""

    def state_dict(self) -> list[dict[str, Any]]:
        """States of all environments in the order of their global index, whatever the layout."""
        return [state for stepper in self._steppers for state in stepper.state_dict()]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Put every environment back to where `state_dict` of any layout found it."""
        for stepper, columns in zip(self._steppers, self._groups):
            stepper.load_state_dict(states[columns])

    def busy_seconds(self) -> float:
        """Seconds spent stepping so far."""
        return self._busy_s

    def spans(self) -> list[Span]:
        """The last steps, as many as were asked for."""
        return list(self._spans)

    def close(self) -> None:
        for stepper in self._steppers:
            stepper.close()


def probe_spec(recipe: EnvRecipe) -> EnvSpec:
    """Build one environment to learn its spec, then drop it."""
    env = recipe.build(seed=0)
    spec = env.spec
    env.close()
    return spec
