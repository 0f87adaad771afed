"""What learners of every kind are built with, from a config: optimizer and learning rate."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from accel.algos import Schedule, WarmedUp, build_schedule
from accel.config.derive import Derived
from accel.config.replay import steps_before_learning
from accel.config.schema import AlgoConfig, Config
from accel.learning.optimizers import Optimizer, build_optimizer


def optimizer(
    algo: AlgoConfig, parameters: Tensor, state: Mapping[str, Tensor] | None = None
) -> Optimizer:
    """The optimizer of the flat `parameters` [P] float32; `state`: see `build_optimizer`."""
    return build_optimizer(
        algo.optimizer,
        parameters,
        epsilon=algo.optimizer_epsilon,
        rmsprop_decay=algo.rmsprop_decay,
        epsilon_inside_sqrt=algo.epsilon_inside_sqrt,
        rmsprop_initial_mean_square=algo.rmsprop_initial_mean_square,
        state=state,
    )


def learning_rate(config: Config, derived: Derived) -> Schedule:
    """The learning rate over global agent steps: the algorithm's schedule, warmed up if asked."""
    algo = config.algo
    schedule = build_schedule(
        algo.learning_rate_schedule, algo.learning_rate, config.total_agent_steps
    )
    if not algo.learning_rate_warmup_agent_steps:
        return schedule
    return WarmedUp(
        schedule,
        algo.learning_rate_warmup_agent_steps,
        steps_per_update=derived.batch_size,
        start=steps_before_learning(config, derived.batch_size),
    )
