"""What a replay's settings mean: its size in memory, and the rules they must pass."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from accel.config.derive import SCREENS, state_bytes
from accel.config.errors import Problem
from accel.config.machine import Machine
from accel.config.schema import Config, DQNConfig, QConfig, R2D2Config
from accel.config.units import in_units

# Beside its frame a step has: age, action, four flags (a byte each), a reward (4), and in the table
# of what may be drawn an int64 weight with its share of the sums above it (64 to a node), a flag.
_BYTES_BESIDE_FRAME = 1 + 1 + 4 + 4 + 8.13 + 1
FEWEST_COPIES = 10  # of the weights to the target network: each carries values n_step steps back
_BYTES_OF_EPISODES = 4 + 4  # where episodes are looked back on: a step's return, steps to the end


def replay_bytes(config: Config) -> int | None:
    """Bytes of a full replay of Atari frames, all ranks together; None for other environments."""
    env, algo = config.env, config.algo
    if not isinstance(algo, DQNConfig) or env.kind != "atari" or env.screen not in SCREENS:
        return None
    per_step = math.prod(SCREENS[env.screen]) + _BYTES_BESIDE_FRAME
    per_step += state_bytes(config) / algo.rollout_length
    per_step += _BYTES_OF_EPISODES * (algo.target == "monte_carlo")
    return round(algo.replay_capacity * per_step)


def updates_per_rollout(config: Config) -> float:
    """Optimizer steps that the replay ratio asks for after each rollout."""
    algo = config.algo
    generated = algo.rollout_length * config.sampler.num_envs
    return generated * algo.replay_ratio / (algo.batch_size * samples_per_item(config))


def optimizer_steps(config: Config) -> int:
    """Updates of a whole run, about: learning starts at the end of a rollout."""
    algo = config.algo
    samples = (config.total_agent_steps - algo.learning_starts) * algo.replay_ratio
    return int(samples / (algo.batch_size * samples_per_item(config)))


def steps_before_learning(config: Config, batch_size: int) -> int:
    """Agent steps before the first rollout, of `batch_size`, that is learned from."""
    if not isinstance(config.algo, DQNConfig):
        return 0
    return max(0, -(-config.algo.learning_starts // batch_size) - 1) * batch_size


def samples_per_item(config: Config) -> int:
    """Samples that one item of a batch is learned from: 1, or the steps of a sequence."""
    return config.algo.sequence_length if isinstance(config.algo, R2D2Config) else 1


def size_rules(config: Config, machine: Machine) -> Iterator[Problem]:
    """The replay must fit the memory, and hold enough to learn from."""
    algo = config.algo
    if not isinstance(algo, DQNConfig):
        return
    yield from _holds_enough(config)
    yield from _holds_episodes(config)
    needed = replay_bytes(config)
    if needed is not None and needed > machine.memory_bytes and not machine.cuda_devices:
        fitting = algo.replay_capacity * machine.memory_bytes // needed
        fewer = 10 ** int(math.log10(max(1, fitting)))
        yield Problem(
            "algo.replay_capacity",
            algo.replay_capacity,
            "must fit the memory",
            f"algo.replay_capacity={fitting // fewer * fewer} or less",
            f"{algo.replay_capacity:,} frames of {config.env.screen} and their records = "
            f"{in_units(needed)}; available: {in_units(machine.memory_bytes)}",
        )
    if algo.learning_starts >= config.total_agent_steps:
        yield Problem(
            "algo.learning_starts",
            algo.learning_starts,
            "must be less than total_agent_steps, or nothing is learned",
            f"algo.learning_starts={config.total_agent_steps // 20}",
            f"{algo.learning_starts:,} >= {config.total_agent_steps:,}",
        )


def disk_rules(config: Config, machine: Machine) -> Iterator[Problem]:
    """A replay that is saved should find room, where that of a resumed run lies already."""
    size = replay_bytes(config)
    if size is None or not config.algo.save_replay or not config.run_dir.strip():
        return
    share = min(1.0, config.total_agent_steps / config.algo.replay_capacity)
    folder = Path(config.run_dir).absolute()
    free = shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free
    needed = round(size * share) - _bytes_in(folder / "replay")
    if needed > free:
        yield Problem(
            "algo.save_replay",
            True,
            "should leave room on the disk, or checkpoints cannot be written",
            "another results_root, a smaller algo.replay_capacity, or algo.save_replay=false",
            f"the replay takes {in_units(needed)}; free in {folder}: {in_units(free)}",
            severity="warning",
        )


def _bytes_in(folder: Path) -> int:
    sizes = 0
    for path in folder.glob("*"):
        with suppress(OSError):  # removed meanwhile, by a run that goes on there
            sizes += path.stat().st_size
    return sizes


def _holds_enough(config: Config) -> Iterator[Problem]:
    """Items to draw from: a few rows around the place of the newest step cannot be drawn."""
    algo, num_envs = config.algo, config.sampler.num_envs
    rows = _rows(config)
    length, stride = algo.n_step, 1
    if isinstance(algo, R2D2Config):
        length, stride = algo.burn_in + algo.sequence_length + algo.n_step, algo.rollout_length
    needed = _whole_rollouts(config, config.env.frame_stack - 1 + length + 2 * stride)
    if rows < needed:
        yield Problem(
            "algo.replay_capacity",
            algo.replay_capacity,
            "must hold an item beside the rows being written, for each environment",
            f"algo.replay_capacity={needed * num_envs} or more",
            f"{algo.replay_capacity:,} / {num_envs} environments = {rows} rows in whole rollouts; "
            f"needed: {needed}",
        )
    elif algo.learning_starts > rows * num_envs:
        yield Problem(
            "algo.learning_starts",
            algo.learning_starts,
            "must not exceed what the replay holds, or nothing is learned",
            f"algo.learning_starts={rows * num_envs} or less, or a larger algo.replay_capacity",
            f"{rows} rows x {num_envs} environments = {rows * num_envs:,}",
        )


def _holds_episodes(config: Config) -> Iterator[Problem]:
    """Returns to an episode's end are known when it is there; the steps must still be there too."""
    env, algo, num_envs = config.env, config.algo, config.sampler.num_envs
    whole = algo.target == "monte_carlo" and not isinstance(algo, R2D2Config)
    if not whole or env.kind != "atari":
        return
    longest = env.max_frames_per_episode // env.frame_skip
    needed = _whole_rollouts(config, env.frame_stack - 1 + longest + 1)
    if _rows(config) < needed:
        yield Problem(
            "algo.replay_capacity",
            algo.replay_capacity,
            "should hold the longest episode of each environment with algo.target=monte_carlo; of "
            "a longer one only the last steps are learned from",
            f"algo.replay_capacity={needed * num_envs} or more",
            f"{algo.replay_capacity:,} / {num_envs} environments = {_rows(config):,} rows; longest "
            f"episode: {env.max_frames_per_episode:,} frames / {env.frame_skip} = {longest:,}",
            severity="warning",
        )


def _rows(config: Config) -> int:
    """Steps of each environment that the replay holds."""
    length = config.algo.rollout_length
    return config.algo.replay_capacity // config.sampler.num_envs // length * length


def _whole_rollouts(config: Config, rows: int) -> int:
    """`rows` rounded up to rollouts."""
    return -(-rows // config.algo.rollout_length) * config.algo.rollout_length


def copy_rules(config: Config, machine: Machine) -> Iterator[Problem]:
    """A target network that hardly ever moves teaches values of the run's beginning."""
    algo, total = config.algo, config.total_agent_steps
    if not isinstance(algo, DQNConfig) or algo.learning_starts >= total:
        return
    interval, start = algo.target_interval_agent_steps, algo.learning_starts
    copies = (total - 1) // interval - start // interval  # one at the end teaches nothing any more
    if copies >= FEWEST_COPIES:
        return
    longer = (start // interval + FEWEST_COPIES + 1) * interval
    shorter = (total - start) // (FEWEST_COPIES + 1)
    fixes = [f"total_agent_steps={longer} or more"]
    fixes += [f"algo.target_interval_agent_steps={shorter} or less"] if shorter else []
    yield Problem(
        "algo.target_interval_agent_steps",
        interval,
        f"should let the target network be copied {FEWEST_COPIES} times at least",
        ", or ".join(fixes),
        f"from {start:,} agent steps, where learning starts, to {total:,} it is copied {copies} "
        f"time{'' if copies == 1 else 's'}: every {interval:,}",
        severity="warning",
    )


def exploration_rules(config: Config, machine: Machine) -> Iterator[Problem]:
    """The ladder of exploration goes up."""
    algo = config.algo
    if not isinstance(algo, QConfig) or algo.epsilon_final_min is None:
        return
    if algo.epsilon_final_min > algo.epsilon_final:
        rule = f"must not exceed algo.epsilon_final={algo.epsilon_final:g}"
        fix = "algo.epsilon_final_min=null: the same for all environments"
        yield Problem("algo.epsilon_final_min", algo.epsilon_final_min, rule, fix)


def target_rules(config: Config, machine: Machine) -> Iterator[Problem]:
    """Switches that exclude each other."""
    algo = config.algo
    if not isinstance(algo, DQNConfig):
        return
    if algo.v_min >= algo.v_max:
        fix = "algo.v_min=-10 algo.v_max=10"
        yield Problem("algo.v_min", algo.v_min, f"must be below v_max={algo.v_max:g}", fix)
    if isinstance(algo, R2D2Config):
        fixed = (("distribution", "expected"), ("munchausen", False), ("target", "q_learning"))
        for key, allowed in fixed:
            if _value(config, key) != allowed:
                rule, fix = f"must be {allowed} in algo=r2d2".lower(), "leave it out"
                yield Problem(f"algo.{key}", _value(config, key), rule, fix)
        return
    yield from _one_target(config)
    if algo.target == "monte_carlo" and algo.n_step != 1:
        rule = "must be 1 with algo.target=monte_carlo, whose returns reach to the episode's end"
        yield Problem("algo.n_step", algo.n_step, rule, "algo.n_step=1")
    if algo.distribution != "expected":
        expecting = {
            "algo.munchausen": algo.munchausen,
            "algo.target": algo.target == "sarsa",
            "algo.value_rescaling": algo.value_rescaling,
        }
        for key in [key for key, on in expecting.items() if on]:
            rule = f"needs algo.distribution=expected, not {algo.distribution}"
            yield Problem(key, _value(config, key), rule, "leave it out")
    elif algo.munchausen and algo.value_rescaling:
        rule = "excludes algo.munchausen, which adds rewards and values in one scale"
        yield Problem("algo.value_rescaling", True, rule, "algo.value_rescaling=false")


def _one_target(config: Config) -> Iterator[Problem]:
    plain = {"algo.double": False, "algo.munchausen": False, "algo.target": "q_learning"}
    chosen = [key for key, value in plain.items() if _value(config, key) != value]
    for key in chosen[1:]:
        others = [other for other in chosen if other != key]
        rule = f"excludes {', '.join(others)}: they are different targets"
        without = [f"{other}={plain[other]}".lower() for other in others]
        fix = f"{' '.join(without)}, or {key}={plain[key]}".lower()
        yield Problem(key, _value(config, key), rule, fix)


def _value(config: Config, key: str) -> object:
    return getattr(config.algo, key.removeprefix("algo."))
