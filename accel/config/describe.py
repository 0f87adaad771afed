"""The start report: what a run will do, in rows a person reads before it begins."""

from __future__ import annotations

from accel.config.derive import Derived
from accel.config.layout import in_units
from accel.config.schema import Config, PPOConfig


def describe(config: Config, derived: Derived) -> list[tuple[str, str]]:
    """Rows (name, text) in reading order: environment, roles, sizes, length, memory, folder."""
    return [
        ("environment", _environment(config)),
        ("protocol", _protocol(config, derived)),
        ("sampler", _sampler(config, derived)),
        ("learner", _learner(config, derived)),
        ("cores", _cores(derived)),
        ("batch", _batch(config, derived)),
        ("length", _length(config, derived)),
        ("memory", _memory(derived)),
        ("evaluation", _evaluation(config)),
        ("checkpoints", f"every {config.checkpoint_interval_s:g} s and at the end"),
        ("seed", str(config.seed)),
        ("run folder", config.run_dir),
    ]


def _environment(config: Config) -> str:
    env = config.env
    if env.kind != "atari":
        return f"{env.game} (Gymnasium), {env.frame_stack} observation(s) stacked"
    return f"{env.game}, frames {env.screen} x {env.frame_stack}, frame skip {env.frame_skip}"


def _protocol(config: Config, derived: Derived) -> str:
    """What must be said beside every score, because results differ by it."""
    clipped = "rewards clipped to their sign" if derived.clip_rewards else "rewards as they are"
    if config.env.kind != "atari":
        return f"the environment's own, {clipped} for learning"
    noops = f"up to {derived.max_noops} no-ops" if derived.max_noops else "no no-ops"
    lives = "life loss ends returns" if derived.terminal_on_life_loss else "whole games"
    most = config.env.max_frames_per_episode
    limit = f"at most {most:,} frames a game" if most else "no frame limit"
    return (
        f"{config.env.protocol}: sticky actions {derived.repeat_action_probability:g}, {noops}, "
        f"{limit}; for learning: {lives}, {clipped}"
    )


def _sampler(config: Config, derived: Derived) -> str:
    if config.sampler.kind == "serial":
        return f"{config.sampler.num_envs} environments in the learner's process"
    reason = derived.reasons["num_workers"]
    return (
        f"{config.sampler.num_envs} environments = {derived.num_workers} workers ({reason}) x "
        f"{derived.envs_per_worker}, in {derived.num_groups} groups"
    )


def _learner(config: Config, derived: Derived) -> str:
    model = f"{config.model.name} {config.model.hidden_size}"
    return f"{config.algo.name}, {model}, on {derived.device} ({derived.reasons['device']})"


def _cores(derived: Derived) -> str:
    return (
        f"{derived.machine.cores} usable; threads: learner {derived.learner_threads}, "
        f"actor {derived.actor_threads} ({derived.reasons['actor_threads']})"
    )


def _batch(config: Config, derived: Derived) -> str:
    steps, num_envs = config.algo.rollout_length, config.sampler.num_envs
    text = f"{num_envs} environments x {steps} steps = {derived.batch_size:,}"
    if isinstance(config.algo, PPOConfig):
        epochs, parts = config.algo.num_epochs, config.algo.num_minibatches
        text += f"; {epochs} epochs x {parts} minibatches of {derived.minibatch_size:,}"
    return text


def _length(config: Config, derived: Derived) -> str:
    return (
        f"{config.total_agent_steps:,} agent steps = {derived.frames:,} frames, "
        f"{derived.num_updates:,} updates"
    )


def _memory(derived: Derived) -> str:
    available = f"{in_units(derived.machine.memory_bytes)} available"
    if derived.rollout_bytes is None:
        return available
    return f"rollout {in_units(derived.rollout_bytes)}, {available}"


def _evaluation(config: Config) -> str:
    if not config.eval_interval_agent_steps:
        return "none while training"
    return (
        f"{config.eval_episodes} games every {config.eval_interval_agent_steps:,} agent steps, "
        "raw scores of whole games"
    )
