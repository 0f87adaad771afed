"""The start report: what a run will do, in rows a person reads before it begins."""

from __future__ import annotations

from accel.config.derive import Derived, resolve_protocol
from accel.config.replay import (
    optimizer_steps,
    replay_bytes,
    samples_per_item,
    updates_per_rollout,
)
from accel.config.schema import Config, DQNConfig, EnvConfig, PPOConfig, PQNConfig
from accel.config.units import in_units


def describe(config: Config, derived: Derived) -> list[tuple[str, str]]:
    """Rows (name, text) in reading order: environment, roles, sizes, length, memory, folder."""
    return [
        ("environment", _environment(config)),
        ("protocol", _protocol(config, derived)),
        ("sampler", _sampler(config, derived)),
        ("learner", _learner(config, derived)),
        *_asynchrony(config, derived),
        ("policy lag", _policy_lag(derived)),
        ("cores", _cores(derived)),
        ("rollout" if isinstance(config.algo, DQNConfig) else "batch", _batch(config, derived)),
        *_replay(config, derived),
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
        stacked = f", {env.frame_stack} observations stacked" if env.frame_stack > 1 else ""
        return f"{env.game} (Gymnasium){stacked}"
    made = " made on the actor's device" if env.frames == "device" else ""
    frames = f"frames {env.screen} x {env.frame_stack}{made}"
    return f"{env.game}, {frames}, frame skip {env.frame_skip}"


def _protocol(config: Config, derived: Derived) -> str:
    clipped = "rewards clipped to their sign" if derived.clip_rewards else "rewards as they are"
    why = derived.reasons["clip_rewards"]
    clipped += f" ({why})" if why else ""
    if config.env.kind != "atari":
        return f"{game_protocol(config.env)}; for learning: {clipped}"
    lives = "life loss ends returns" if derived.terminal_on_life_loss else "whole games"
    return f"{game_protocol(config.env)}; for learning: {lives}, {clipped}"


def game_protocol(env: EnvConfig) -> str:
    """How games are played: what must be said beside every score, because results differ by it."""
    if env.kind != "atari":
        return "the environment's own"
    resolved = resolve_protocol(env)
    most = env.max_frames_per_episode
    parts = [
        f"sticky actions {resolved['repeat_action_probability']:g}",
        f"up to {resolved['max_noops']} no-ops" if resolved["max_noops"] else "no no-ops",
        f"at most {most:,} frames a game" if most else "no frame limit",
        *(["FIRE pressed at the start"] if env.fire_on_reset else []),
        *(["all 18 actions"] if env.full_action_space else []),
        *([f"mode {env.mode}"] if env.mode is not None else []),
        *([f"difficulty {env.difficulty}"] if env.difficulty is not None else []),
    ]
    return f"{env.protocol}: {', '.join(parts)}"


def _sampler(config: Config, derived: Derived) -> str:
    if config.sampler.kind == "serial":
        whose = "learner" if derived.policy_lag == "0" else "actor"
        return f"{config.sampler.num_envs} environments in the {whose}'s process"
    learners = f"{derived.num_learners} learners x " if derived.num_learners > 1 else ""
    groups, why = derived.num_groups, derived.reasons["num_groups"]
    return (
        f"{config.sampler.num_envs} environments = {learners}{derived.num_workers} workers "
        f"({derived.reasons['num_workers']}) x {_share(derived)}, "
        f"in {groups} group{'s' * (groups > 1)} ({why})"
    )


def _share(derived: Derived) -> str:
    """Environments of a worker: one number, or two neighbors."""
    share, more = divmod(derived.envs_per_learner, derived.num_workers)
    return f"{share} or {share + 1}" if more else str(share)


def _learner(config: Config, derived: Derived) -> str:
    model = config.model
    text = f"{config.algo.name}, {model.name} {model.hidden_size}"
    text += "" if model.core == "none" else f", {model.core} {model.core_size}"
    text += ", in CUDA graphs" if derived.cuda_graphs else ""
    if derived.num_learners == 1:
        return f"{text}, on {derived.device} ({derived.reasons['device']})"
    device = "each on its own GPU" if derived.device.startswith("cuda") else f"on {derived.device}"
    if config.device.startswith("cuda:"):
        device = f"all on {config.device}"
    kind = "asynchronous " if config.algo.asynchronous else ""
    count = f"{derived.num_learners} {kind}learners ({derived.reasons['num_learners']})"
    text = f"{count}: {text}, {device}"
    if config.hardware.scaling == "weak":
        text += f"; weak scaling: learning rate {config.algo.learning_rate:g}"
    return text


def _asynchrony(config: Config, derived: Derived) -> list[tuple[str, str]]:
    """A row on what asynchronous learners share and what that costs; else none."""
    if not config.algo.asynchronous:
        return []
    if derived.num_learners == 1:
        return [("asynchronous", "no: there is one learner")]
    own = " and a replay" if isinstance(config.algo, DQNConfig) else ""
    return [
        (
            "asynchronous",
            f"each learner has environments{own} of its own, pushes its gradients into shared "
            "weights and waits for no other; so runs of one seed differ, and so does a resumed one",
        )
    ]


def _policy_lag(derived: Derived) -> str:
    lags = {
        "0": "0: collects, then learns",
        "1": "1: an actor process plays the next rollout while the learner learns",
        "free": "free: an actor process plays on with the newest weights it finds",
    }
    text = f"{lags[derived.policy_lag]} ({derived.reasons['policy_lag']})"
    if derived.policy_lag == "0" or derived.device == "cpu":
        return text
    how = "through MPS" if derived.machine.has_mps else "by time slices, without MPS"
    return f"{text}; the two share the GPU {how}"


def _cores(derived: Derived) -> str:
    return (
        f"{derived.machine.cores} usable; threads: learner {derived.learner_threads} "
        f"({derived.reasons['learner_threads']}), "
        f"actor {derived.actor_threads} ({derived.reasons['actor_threads']})"
    )


def _batch(config: Config, derived: Derived) -> str:
    steps = config.algo.rollout_length
    num_envs = derived.batch_size // steps
    text = "each learner's own " if num_envs < config.sampler.num_envs else ""
    text += f"{num_envs} environments x {steps} steps = {derived.batch_size:,}"
    if isinstance(config.algo, PPOConfig | PQNConfig):
        epochs, parts = config.algo.num_epochs, config.algo.num_minibatches
        text += f"; {epochs} epochs x {parts} minibatches of {derived.minibatch_size:,}"
    elif derived.minibatch_size < derived.batch_size:
        text += f"; in minibatches of {derived.minibatch_size:,}"
    return text


def _replay(config: Config, derived: Derived) -> list[tuple[str, str]]:
    """Rows about learning from replay; none for an algorithm without."""
    algo = config.algo
    if not isinstance(algo, DQNConfig):
        return []
    kind = "prioritized" if algo.prioritized else "uniform"
    size, steps = replay_bytes(config), samples_per_item(config)
    memory = f", {in_units(size)} when full" if size else ""
    items = f"sequences of {steps}" if steps > 1 else "samples"
    pace = updates_per_rollout(config)
    if algo.asynchronous:
        pace /= derived.num_learners
    return [
        ("replay", f"the last {algo.replay_capacity:,} agent steps{memory}; {kind}"),
        ("replay on disk", _replay_on_disk(config)),
        (
            "learning",
            f"from {algo.learning_starts:,} agent steps on, {algo.batch_size} {items} an update, "
            f"{pace:.4g} updates a rollout: each step is learned from {algo.replay_ratio:g} times"
            f"{', once its episode is over' * (algo.target == 'monte_carlo')}",
        ),
    ]


def _replay_on_disk(config: Config) -> str:
    """What it costs to resume exactly; or what a resume means without."""
    if not config.algo.save_replay:
        return (
            "none (save_replay=false): a resumed run starts with an empty replay, learns again "
            f"once {config.algo.learning_starts:,} agent steps are in it, and is not bit for bit "
            "the uninterrupted run"
        )
    size = replay_bytes(config)
    least = f"{in_units(size)} when full" if size else "as much as in memory"
    kept, interval = config.keep_checkpoints, config.checkpoint_interval_s
    most = f", at most {in_units((kept + 1) * size)}" if size else ""
    return f"{least}, and what {kept} x {interval:g} s of playing add{most}; gone once finished"


def _length(config: Config, derived: Derived) -> str:
    text = f"{config.total_agent_steps:,} agent steps = {derived.frames:,} frames, "
    if config.stop_at_return is not None:
        goal = f"{config.stop_at_return:,.10g}"
        text = f"until the mean of the last 100 training games reaches {goal}, at most {text}"
    if not isinstance(config.algo, DQNConfig):
        return text + f"{derived.num_updates:,} updates"
    return text + f"{derived.num_updates:,} rollouts, {optimizer_steps(config):,} updates"


def _memory(derived: Derived) -> str:
    available = f"{in_units(derived.machine.memory_bytes)} available"
    if derived.rollout_bytes is None:
        return available
    count = f"{derived.num_slots} x " if derived.num_slots > 1 else ""
    return f"rollout {count}{in_units(derived.rollout_bytes)}, {available}"


def _evaluation(config: Config) -> str:
    if not config.eval_interval_agent_steps:
        return "none while training"
    return (
        f"{config.eval_episodes} games every {config.eval_interval_agent_steps:,} agent steps, "
        "raw scores of whole games"
    )
