"""Everything that follows from a config and a machine: one visible place for derived sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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

SCREENS: dict[str, tuple[int, int]] = {"84x84": (84, 84), "104x80": (104, 80)}  # height, width
ATARI_ACTIONS = 18  # most actions a game can have
CORE_PARTS = {"none": 0, "gru": 1, "lstm": 2}  # numbers of its state for each unit
ENVS_PER_ACTOR_THREAD = 8  # smaller parts of a forward pass are not worth waking a thread for


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
    envs_per_worker: int
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
    env, sampler, algo = config.env, config.sampler, config.algo
    reasons: dict[str, str] = {}
    num_learners, reasons["num_learners"] = resolve_learners(config, machine)
    cores = cores_per_learner(config, machine)
    num_workers, reasons["num_workers"] = resolve_workers(config, machine)
    device, reasons["device"] = resolve_device(config.device, machine)
    policy_lag, reasons["policy_lag"] = resolve_policy_lag(config, device)
    learner_threads = config.hardware.learner_threads or cores
    if policy_lag != "0" and device == "cpu":  # acting and learning run at once: half for each
        learner_threads = config.hardware.learner_threads or max(1, cores // 2)
        cores = max(1, cores - learner_threads)
    actor_threads, reasons["actor_threads"] = _resolve_actor_threads(
        config, num_workers, sampler.num_envs // num_learners, cores
    )
    clip_rewards, reasons["clip_rewards"] = resolve_clip_rewards(config)
    num_envs = envs_per_update(config, machine)
    batch_size = algo.rollout_length * num_envs
    num_updates = math.ceil(config.total_agent_steps / batch_size)
    return Derived(
        **resolve_protocol(env),
        clip_rewards=clip_rewards,
        device=device,
        num_learners=num_learners,
        envs_per_learner=sampler.num_envs // num_learners,
        num_workers=num_workers,
        num_groups=1 if sampler.kind == "serial" else sampler.num_groups,
        envs_per_worker=sampler.num_envs // (num_learners * num_workers),
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


def resolve_learners(config: Config, machine: Machine) -> tuple[int, str]:
    """Learners of the job and the reason for their number."""
    if machine.place.is_given:
        return machine.place.size, "as launched"
    if config.hardware.learners is not None:
        return config.hardware.learners, "as set"
    if config.device in ("auto", "cuda") and machine.cuda_devices > 0:
        return _one_for_each("visible GPU", machine.cuda_devices, config)
    if config.algo.asynchronous and config.device in ("auto", "cpu"):
        return _one_for_each("usable core", machine.cores, config)  # as threads of A3C were
    return 1, "no other GPU to use"


def _one_for_each(place: str, count: int, config: Config) -> tuple[int, str]:
    """As many learners as there are places, or the most that can share the environments."""
    if config.hardware.scaling == "weak":
        return count, f"one per {place}"
    unit = 1 if config.sampler.kind == "serial" else config.sampler.num_groups
    num_envs = config.sampler.num_envs
    learners = max((n for n in range(1, count + 1) if num_envs % (n * unit) == 0), default=1)
    if learners == count:
        return learners, f"one per {place}"
    return learners, f"the most of {count} {place}s that share {num_envs} environments"


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


def cores_per_learner(config: Config, machine: Machine) -> int:
    """Usable cores of each learner: its own, or its share of the machine's."""
    sharing = machine.place.cores_shared_by
    if not machine.place.is_given:
        sharing, _ = resolve_learners(config, machine)
    return max(1, machine.cores // sharing)


def resolve_workers(config: Config, machine: Machine) -> tuple[int, str]:
    """Worker processes of a learner and the reason: the most that its cores and envs allow."""
    sampler, cores = config.sampler, cores_per_learner(config, machine)
    if sampler.kind == "serial":
        return 1, "environments step in the learner's process"
    if sampler.num_workers is not None:
        return sampler.num_workers, "as set"
    per_group = sampler.num_envs // (sampler.num_groups * resolve_learners(config, machine)[0])
    workers = max(n for n in range(1, min(cores, per_group) + 1) if per_group % n == 0)
    if workers == cores:
        return workers, "one per usable core"
    return workers, f"the most of {cores} cores that share {per_group} environments evenly"


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


def resolve_device(device: str, machine: Machine) -> tuple[str, str]:
    """The device and the reason.

    Each rank takes the GPU of its local number, unless its launcher shows it one GPU alone.
    """
    visible = machine.cuda_devices
    if device == "auto" and not visible:
        return "cpu", "no CUDA device found"
    if device in ("auto", "cuda"):
        index = machine.place.local_rank if visible > 1 else 0
        return f"cuda:{index}", f"of {visible} CUDA device(s)"
    return device, "as set"


def _resolve_actor_threads(
    config: Config, num_workers: int, num_envs: int, cores: int
) -> tuple[int, str]:
    """The acting network runs while workers step, if there is another group for them to step."""
    if config.hardware.actor_threads is not None:
        return config.hardware.actor_threads, "as set"
    if config.sampler.kind == "serial":
        return cores, "nothing else runs meanwhile"
    if config.sampler.num_groups == 1:
        threads = max(1, min(cores, num_envs // ENVS_PER_ACTOR_THREAD))
        return threads, "workers wait meanwhile"
    free = cores - num_workers
    if free < 1:
        return 1, "workers fill the cores"
    return free, f"{cores} cores less {num_workers} workers"
