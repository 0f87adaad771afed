"""Everything that follows from a config and a machine: one visible place for derived sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from accel.config.learners import resolve_device, resolve_learners
from accel.config.machine import Machine
from accel.config.overlap import NUM_SLOTS, resolve_policy_lag
from accel.config.schema import (
    Config,
    DQNConfig,
    EnvConfig,
    IMPALAConfig,
    PPOConfig,
    PQNConfig,
)
from accel.config.threads import resolve_actor_threads, resolve_learner_threads
from accel.config.workers import resolve_groups, resolve_workers

SCREENS: dict[str, tuple[int, int]] = {"84x84": (84, 84), "104x80": (104, 80)}  # height, width
ATARI_ACTIONS = 18  # most actions a game can have
CORE_PARTS = {"none": 0, "gru": 1, "lstm": 2}  # numbers of its state for each unit


@dataclass(frozen=True)
class Derived:
    """A config's open choices, resolved."""

    repeat_action_probability: float
    max_noops: int
    terminal_on_life_loss: bool
    clip_rewards: bool
    device: str  # cpu | cuda:N
    num_learners: int
    envs_per_learner: int
    num_workers: int  # of each learner; 1 when serial: the learner's own process
    num_groups: int  # 1 when serial
    policy_lag: str  # 0 | 1 | free
    num_slots: int  # rollouts in memory
    learner_threads: int
    actor_threads: int
    cuda_graphs: bool  # never on a CPU
    batch_size: int  # samples per update, autoreset steps included
    minibatch_size: int  # samples per optimizer step
    num_updates: int  # rollouts until total_agent_steps are reached (the last may exceed them)
    frames: int  # total_agent_steps x frame_skip
    rollout_bytes: int | None  # None where the frame's size is known only to the environment
    machine: Machine
    reasons: dict[str, str]  # field -> why it has its value, where that is not obvious


def derive(config: Config, machine: Machine) -> Derived:
    """Resolve every optional field. `config` must have passed `validate` on this machine."""
    env, algo = config.env, config.algo
    reasons: dict[str, str] = {}
    num_learners, reasons["num_learners"] = resolve_learners(config, machine)
    num_workers, reasons["num_workers"] = resolve_workers(config, machine)
    num_groups, reasons["num_groups"] = resolve_groups(config, machine)
    device, reasons["device"] = resolve_device(config.device, machine)
    policy_lag, reasons["policy_lag"] = resolve_policy_lag(config, machine)
    learner_threads, reasons["learner_threads"] = resolve_learner_threads(config, machine)
    actor_threads, reasons["actor_threads"] = resolve_actor_threads(config, machine)
    clip_rewards, reasons["clip_rewards"] = resolve_clip_rewards(config)
    num_envs = envs_per_update(config, machine)
    batch_size = algo.rollout_length * num_envs
    num_updates = math.ceil(config.total_agent_steps / batch_size)
    return Derived(
        **resolve_protocol(env),
        clip_rewards=clip_rewards,
        device=device,
        num_learners=num_learners,
        envs_per_learner=config.sampler.num_envs // num_learners,
        num_workers=num_workers,
        num_groups=num_groups,
        policy_lag=policy_lag,
        num_slots=NUM_SLOTS[policy_lag],
        learner_threads=learner_threads,
        actor_threads=actor_threads,
        cuda_graphs=device != "cpu" and config.hardware.cuda_graphs is not False,
        batch_size=batch_size,
        minibatch_size=minibatch_size(config, num_envs),
        num_updates=num_updates,
        frames=config.total_agent_steps * env.frame_skip,
        rollout_bytes=rollout_bytes(config),
        machine=machine,
        reasons=reasons,
    )


def resolve_protocol(env: EnvConfig) -> dict[str, float | int | bool]:
    """The three settings of games that a protocol stands for, with the user's own values on top.

    modern: Machado et al. 2018; classic: Mnih et al. 2015. Other environments have none of them.
    """
    atari = env.kind == "atari"
    classic = atari and env.protocol == "classic"
    resolved: dict[str, float | int | bool] = {
        "repeat_action_probability": 0.25 if atari and not classic else 0.0,
        "max_noops": 30 if classic else 0,
        "terminal_on_life_loss": classic,
    }
    return {
        key: value if getattr(env, key) is None else getattr(env, key)
        for key, value in resolved.items()
    }


def resolve_clip_rewards(config: Config) -> tuple[bool, str]:
    """Whether the learner sees the sign of rewards alone, and the reason if that is not obvious.

    Squashed values (Pohlen et al. 2018, and R2D2 after it) are what their papers have in place of
    clipping, so an algorithm that learns them sees rewards as they are.
    """
    if config.env.clip_rewards is not None:
        return config.env.clip_rewards, ""
    if config.env.kind != "atari":
        return False, ""
    if isinstance(config.algo, DQNConfig) and config.algo.value_rescaling:
        return False, "value_rescaling takes the place of clipping"
    return True, ""


def scale_to_learners(config: Config, machine: Machine) -> Config:
    """With weak scaling, the config of the whole job: num_envs and learning rate grow with it.

    The learning rate grows by the root of the number of learners, or by the number (Goyal et al.
    2017, arXiv 1706.02677), or not at all.
    """
    learners, _ = resolve_learners(config, machine)
    if config.hardware.scaling != "weak":
        return config
    factor = {"sqrt": learners**0.5, "linear": learners}.get(
        config.hardware.learning_rate_scaling, 1
    )
    return replace(
        config,
        sampler=replace(config.sampler, num_envs=config.sampler.num_envs * learners),
        algo=replace(config.algo, learning_rate=config.algo.learning_rate * factor),
    )


def num_minibatches(config: Config) -> int:
    """Optimizer steps per pass over a rollout: 1 for algorithms that use the rollout whole."""
    has_minibatches = isinstance(config.algo, PPOConfig | PQNConfig | IMPALAConfig)
    return config.algo.num_minibatches if has_minibatches else 1


def keeps_columns_whole(config: Config) -> bool:
    """Whether minibatches are of whole environments: for a memory, or for V-trace."""
    return config.model.core != "none" or isinstance(config.algo, IMPALAConfig)


def envs_per_update(config: Config, machine: Machine) -> int:
    """Environments whose steps an update learns from: all, or the asynchronous learner's own."""
    sharing = resolve_learners(config, machine)[0] if config.algo.asynchronous else 1
    return config.sampler.num_envs // sharing


def minibatch_size(config: Config, num_envs: int) -> int:
    """Samples of an optimizer step, at most, of an update that learns from `num_envs`."""
    steps = config.algo.rollout_length
    if keeps_columns_whole(config):
        return steps * math.ceil(num_envs / num_minibatches(config))
    return math.ceil(steps * num_envs / num_minibatches(config))


def state_bytes(config: Config) -> int:
    """Bytes of what a recurrent core remembers of one environment."""
    return 4 * CORE_PARTS[config.model.core] * config.model.core_size


def rollout_bytes(config: Config) -> int | None:
    """Bytes of all learners' rollouts (`accel.types.Rollout`) of Atari frames; else None."""
    env = config.env
    if env.kind != "atari" or env.screen not in SCREENS:
        return None
    height, width = SCREENS[env.screen]
    steps, num_envs = config.algo.rollout_length, config.sampler.num_envs
    frames = (steps + env.frame_stack) * height * width
    per_step = 8 + 4 + 4 + 4 * ATARI_ACTIONS  # action, reward, four flags, log_probs
    per_row = 4 + 4  # age, value
    per_env = frames + steps * per_step + (steps + 1) * per_row + state_bytes(config)
    return num_envs * per_env + 8 * steps
