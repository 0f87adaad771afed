"""Rules about one key alone: allowed names and numeric ranges, as two tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from accel.config.errors import Problem
from accel.config.keys import ALGO_SCHEMAS, did_you_mean
from accel.config.schema import Config

CHOICES: dict[str, tuple[str, ...]] = {
    "env.kind": ("atari", "gym"),
    "env.protocol": ("modern", "classic"),
    "env.screen": ("84x84", "104x80"),
    "env.frames": ("worker", "device"),
    "algo.name": tuple(ALGO_SCHEMAS),
    "algo.learning_rate_schedule": ("constant", "linear"),
    "algo.entropy_coef_schedule": ("constant", "linear"),
    "algo.clip_range_schedule": ("constant", "linear"),
    "algo.optimizer": ("adam", "rmsprop"),
    "algo.distribution": ("expected", "categorical", "quantile", "implicit"),
    "algo.target": ("q_learning", "sarsa", "monte_carlo"),
    "model.name": ("nature_cnn", "impala_cnn", "small_cnn", "mlp"),
    "model.initialization": ("orthogonal", "default"),
    "model.core": ("none", "lstm", "gru"),
    "sampler.kind": ("parallel", "serial"),
    "hardware.scaling": ("strong", "weak"),
    "hardware.learning_rate_scaling": ("none", "sqrt", "linear"),
    "runner.policy_lag": ("0", "1", "free"),
    "precision": ("auto", "fp32", "bf16"),
    "resume": ("auto", "off", "must"),
}

# Choosing these by name alone would leave the rest of the group's values behind.
_GROUP_OF = {"env.kind": "env", "algo.name": "algo", "model.name": "model"}


@dataclass(frozen=True)
class _Range:
    low: float
    high: float = math.inf
    includes_low: bool = True
    includes_high: bool = True

    def holds(self, value: float) -> bool:
        """Whether the value lies inside; never for nan, nor for an infinity."""
        above = value >= self.low if self.includes_low else value > self.low
        below = value <= self.high if self.includes_high else value < self.high
        return above and below and math.isfinite(value)

    def rule(self) -> str:
        if self.low == -math.inf:
            return "must be a finite number"
        if self.high == math.inf:
            return f"must be {'at least' if self.includes_low else 'above'} {self.low:g}"
        left, right = "[" if self.includes_low else "(", "]" if self.includes_high else ")"
        return f"must lie in {left}{self.low:g}, {self.high:g}{right}"

    def fix(self) -> str:
        if self.low == -math.inf:
            return "any finite number"
        if self.high == math.inf:
            return "any value " + self.rule().removeprefix("must be ")
        return "any value " + self.rule().removeprefix("must lie ")


_COUNT = _Range(1)
_POSITIVE = _Range(0, includes_low=False)
_NOT_NEGATIVE = _Range(0)
_UNIT = _Range(0, 1)
_FINITE = _Range(-math.inf, includes_low=False)
_INT32 = _Range(0, 2**31 - 1)

RANGES: dict[str, _Range] = {
    "env.frame_skip": _COUNT,
    "env.frame_stack": _COUNT,
    "env.repeat_action_probability": _UNIT,
    "env.max_noops": _NOT_NEGATIVE,
    "env.max_frames_per_episode": _NOT_NEGATIVE,
    "env.mode": _NOT_NEGATIVE,
    "env.difficulty": _NOT_NEGATIVE,
    "algo.learning_rate": _POSITIVE,
    "algo.learning_rate_warmup_agent_steps": _NOT_NEGATIVE,
    "algo.discount": _UNIT,
    "algo.gae_lambda": _UNIT,
    "algo.rollout_length": _COUNT,
    "algo.entropy_coef": _NOT_NEGATIVE,
    "algo.value_coef": _NOT_NEGATIVE,
    "algo.max_grad_norm": _POSITIVE,
    "algo.optimizer_epsilon": _POSITIVE,
    "algo.rmsprop_decay": _Range(0, 1, includes_high=False),
    "algo.rmsprop_initial_mean_square": _NOT_NEGATIVE,
    "algo.num_epochs": _COUNT,
    "algo.num_minibatches": _COUNT,
    "algo.clip_range": _Range(0, 1, includes_low=False, includes_high=False),
    "algo.clip_value": _POSITIVE,
    "algo.vtrace_lambda": _UNIT,
    "algo.rho_bar": _POSITIVE,
    "algo.c_bar": _POSITIVE,
    "algo.target_kl": _POSITIVE,
    "algo.epsilon_initial": _UNIT,
    "algo.epsilon_final": _UNIT,
    "algo.epsilon_final_min": _Range(0, 1, includes_low=False),
    "algo.epsilon_decay_agent_steps": _NOT_NEGATIVE,
    "algo.epsilon_eval": _UNIT,
    "algo.q_lambda": _UNIT,
    "algo.n_step": _COUNT,
    "algo.batch_size": _COUNT,
    "algo.replay_capacity": _COUNT,
    "algo.learning_starts": _NOT_NEGATIVE,
    "algo.replay_ratio": _POSITIVE,
    "algo.target_interval_agent_steps": _COUNT,
    "algo.priority_exponent": _UNIT,
    "algo.importance_exponent": _UNIT,
    "algo.importance_exponent_final": _UNIT,
    "algo.huber_delta": _POSITIVE,
    "algo.v_min": _FINITE,
    "algo.v_max": _FINITE,
    "algo.num_atoms": _Range(2),
    "algo.num_quantiles": _COUNT,
    "algo.burn_in": _NOT_NEGATIVE,
    "algo.sequence_length": _COUNT,
    "algo.priority_eta": _UNIT,
    "model.hidden_size": _COUNT,
    "model.core_size": _COUNT,
    "sampler.num_envs": _COUNT,
    "sampler.num_workers": _COUNT,
    "sampler.num_groups": _COUNT,
    "sampler.decorrelation_steps": _NOT_NEGATIVE,
    "sampler.timeout_s": _POSITIVE,
    "hardware.learners": _COUNT,
    "hardware.learner_threads": _COUNT,
    "hardware.actor_threads": _COUNT,
    "seed": _INT32,
    "total_agent_steps": _COUNT,
    "stop_at_return": _FINITE,
    "log_interval_s": _POSITIVE,
    "checkpoint_interval_s": _POSITIVE,
    "keep_checkpoints": _COUNT,
    "eval_interval_agent_steps": _NOT_NEGATIVE,
    "eval_episodes": _COUNT,
}


def check_choices(config: Config) -> Iterator[Problem]:
    """Names that no option has."""
    for key, options in CHOICES.items():
        value = value_of(config, key)
        if value is None or value in options:
            continue
        typed = _GROUP_OF.get(key, key)
        close = did_you_mean(value, options) or list(options)
        fix = " or ".join(f"{typed}={option}" for option in close)
        yield Problem(key, value, f"must be one of {', '.join(options)}", fix)


def check_ranges(config: Config) -> Iterator[Problem]:
    """Numbers out of their range; an optional key that is null has none."""
    for key, allowed in RANGES.items():
        value = value_of(config, key)
        if value is not None and not allowed.holds(value):
            told = math.isfinite(value) or "finite" in allowed.rule()
            finite = "" if told else ", and finite"  # inf is above 0, too
            yield Problem(key, value, allowed.rule() + finite, allowed.fix() + finite)


def value_of(config: Config, key: str) -> Any:
    """The value at a dotted key; None where this algorithm has no such key."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name, None)
    return value
