"""Rules about the steps that weights take: what would be ignored, come too late or go too far."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from accel.config.derive import envs_per_update
from accel.config.errors import Problem
from accel.config.machine import Machine
from accel.config.replay import steps_before_learning
from accel.config.schema import ActorCriticConfig, Config

IMAGE_MODELS = ("nature_cnn", "impala_cnn", "small_cnn")
# By A2C on Pong with Adam at this learning rate, see results/README.md: what a setting made of the
# variation of the last hidden layer's outputs from screen to screen, in per cent of their size.
_CONSTANT_FROM = 5e-4
_CONSTANT: dict[str, tuple[object, float, str]] = {
    "model.layer_norm": (True, 0.07, "model.layer_norm=null, or algo.learning_rate=1e-4"),
    "model.initialization": ("default", 0.06, "model.initialization=orthogonal"),
}
_UPDATES_OF_A_WARMUP = 50  # as in configs/experiment/pong_a2c.yaml
_RMSPROP_ALONE = {
    "algo.rmsprop_decay": 0.99,
    "algo.rmsprop_initial_mean_square": 0.0,
    "algo.epsilon_inside_sqrt": False,
}  # key -> what asks for nothing


def ignored_by_adam(config: Config, typed: Collection[str]) -> Iterator[Problem]:
    """Settings of RMSProp that somebody has `typed`: those of algo=a2c itself are no mistake."""
    if config.algo.optimizer != "adam":
        return
    for key, nothing in _RMSPROP_ALONE.items():
        value = getattr(config.algo, key.removeprefix("algo."))
        if key in typed and value != nothing:
            rule = "means nothing to algo.optimizer=adam and is ignored"
            fix = "leave it out, or algo.optimizer=rmsprop"
            yield Problem(key, value, rule, fix, severity="warning")


def warmup_rules(config: Config, machine: Machine) -> Iterator[Problem]:
    """A warm-up should last for more than the first update and less than the run."""
    key = "algo.learning_rate_warmup_agent_steps"
    warmup = config.algo.learning_rate_warmup_agent_steps
    if warmup == 0:
        return
    batch = config.algo.rollout_length * envs_per_update(config, machine)
    start = steps_before_learning(config, batch)
    learning = max(0, config.total_agent_steps - start)  # agent steps
    if warmup > learning:
        shorter = learning // 20
        waiting = f"after {start:,} without learning, " if start else ""
        yield Problem(
            key,
            warmup,
            "should end before the run, or the learning rate never reaches its schedule",
            f"{key}={shorter}, or 0 for none" if shorter > batch else f"{key}=0",
            f"{waiting}{warmup:,} of {config.total_agent_steps:,} total_agent_steps; the rate is "
            f"{learning / warmup:.3g} of its schedule at the end",
            severity="warning",
        )
    elif warmup <= batch:
        yield Problem(
            key,
            warmup,
            "should be longer than a rollout, or the first update has the whole rate already",
            f"{key}={_UPDATES_OF_A_WARMUP * batch} ({_UPDATES_OF_A_WARMUP} updates), or 0 for none",
            f"a rollout has {batch:,} agent steps",
            severity="warning",
        )


def initialization_rules(config: Config, machine: Machine) -> Iterator[Problem]:
    """Networks that Adam's first steps make answer alike to whatever is seen."""
    algo, model = config.algo, config.model
    if not isinstance(algo, ActorCriticConfig) or model.name not in IMAGE_MODELS:
        return
    if algo.optimizer != "adam" or algo.learning_rate < _CONSTANT_FROM:
        return
    for key, (value, varies, fix) in _CONSTANT.items():
        if getattr(model, key.removeprefix("model.")) == value:
            rule = (
                f"should not be combined with Adam's steps of {_CONSTANT_FROM:g} or more: on Pong "
                "A2C's values and actions came to be the same for all screens"
            )
            numbers = (
                f"algo.learning_rate={algo.learning_rate:g}; from screen to screen features varied "
                f"by 2 % at the start and by {varies:g} % after 200 updates, 0.7 % without"
            )
            yield Problem(key, value, rule, fix, numbers, severity="warning")
