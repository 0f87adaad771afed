"""Starting a run from another run's checkpoint: what it takes over, what starts anew, and why.

A forked run goes on counting where its parent's checkpoint stood: agent steps, updates and with
them every schedule's clock, so `total_agent_steps` counts from the parent's beginning. It takes
weights, optimizer, random states and, where environments, their number and the seed are the same,
the games in progress. `best.pt` and the curves are its own. It saves its first checkpoint before
its first step and needs its parent no more. A replay starts empty: learning goes on once it holds
`learning_starts` agent steps again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from accel.config.derive import derive
from accel.config.errors import ConfigError, Problem
from accel.config.machine import Machine
from accel.config.saved import config_from_dict
from accel.config.schema import Config, DQNConfig
from accel.learning import Learner, dead_units
from accel.learning.partial import TensorMatch
from accel.runners import build
from accel.runners.fork_point import ForkPoint, find_fork_point
from accel.runs.checkpoint import load_checkpoint
from accel.runs.checkpoint_file import DamagedCheckpoint
from accel.runs.differences import config_differences
from accel.sampling.stepping import probe_spec

_MOST_NAMED = 6  # tensors in an error message
StateTree = dict[str, Any]


@dataclass(frozen=True)
class Fork:
    """A parent's checkpoint, made to fit a child; None in `state` is a part that starts anew."""

    point: ForkPoint
    state: StateTree
    rows: list[tuple[str, str]]  # for the start report


def check_fork(config: Config) -> None:
    """Find out before any work starts whether `config` can start where it wants to.

    Raises ConfigError.
    """
    point = find_fork_point(config)
    if point is None:
        return
    derived = derive(config, Machine.detect(config.device))
    own = build.network(config, probe_spec(build.env_recipe(config, derived)))
    _match(config, point, _load(config, point)["learner"]["model"], dict(own.named_parameters()))


def open_fork(config: Config, learner: Learner) -> Fork | None:
    """The state that the run of `config` and its new `learner` start from; None without a fork.

    Raises ConfigError as `check_fork` does.
    """
    point = find_fork_point(config)
    if point is None:
        return None
    saved, own = _load(config, point), learner.state_dict()
    parent = config_from_dict(point.manifest["config"])
    match = _match(config, point, saved["learner"]["model"], own["model"])
    fitted, anew = _fit_learner(saved["learner"], own, match, parent.seed == config.seed)
    changed = _changed_games(parent, config)
    why = _why_new_games(parent, config, changed)
    sampler = None if why else saved["sampler"]
    if sampler and sampler.get("ahead") and not (match.is_whole and _learns_alike(parent, config)):
        sampler = {**sampler, "ahead": []}
        anew.append("rollouts played ahead")
    state = {
        **saved,
        "learner": fitted,
        "sampler": sampler,
        "records": None if changed else _records(saved["records"], match),
        "num_evaluations": _num_evaluations(parent, config, saved),
        "replay": None,
    }
    anew += ["replay"] if isinstance(config.algo, DQNConfig) else []
    anew += [f"games ({', '.join(why)})"] if why else []
    return Fork(point, state, _report(point, match, anew))


def _load(config: Config, point: ForkPoint) -> StateTree:
    try:
        return load_checkpoint(point.checkpoint)
    except (DamagedCheckpoint, OSError) as error:
        rule, fix = "must name a checkpoint that can be read", "another checkpoint of the run"
        raise ConfigError([Problem("fork", config.fork, rule, fix, str(error))]) from error


def _match(
    config: Config, point: ForkPoint, saved: dict[str, Tensor], own: dict[str, Tensor]
) -> TensorMatch:
    """Compare the networks. Raises ConfigError where they differ and must not."""
    match = TensorMatch.of(saved, own)
    if match.is_whole or config.fork_partial:
        return match
    parent = config_from_dict(point.manifest["config"])
    changes = [f"{key}={change.partition(' -> ')[0]}" for key, change in _changes(parent, config)]
    settings = f"the parent's settings ({', '.join(changes)})" if changes else "the same network"
    tensors = len(match.kept + match.new)
    rule = "must hold a network of this run's shape"
    fix = f"{settings}, or fork_partial=true to load {len(match.kept)} of {tensors} tensors"
    numbers = f"there {_some(match.dropped)}; here {_some(match.new)}"
    raise ConfigError([Problem("fork", config.fork, rule, fix, numbers)])


def _fit_learner(
    saved: StateTree, own: StateTree, match: TensorMatch, same_seed: bool
) -> tuple[StateTree, list[str]]:
    """The learner's state, and which parts of it start anew."""
    fitted, anew = {**own, **saved}, []
    fitted["model"] = match.merge(saved["model"], own["model"])
    if "target" in own:  # a parent without one starts the child's off as its network
        fitted["target"] = match.merge(saved.get("target", saved["model"]), own["target"])
    if not match.is_whole or saved["optimizer"].keys() != own["optimizer"].keys():
        fitted["optimizer"] = own["optimizer"]
        anew.append("optimizer (other tensors)" if not match.is_whole else "optimizer (other kind)")
    same_kind = saved["generator"].shape == own["generator"].shape
    if not (same_seed and same_kind):
        fitted["generator"] = own["generator"]
        anew.append(f"shuffling (another {'kind of device' if same_seed else 'seed'})")
    return fitted, anew


def _records(saved: StateTree, match: TensorMatch) -> StateTree:
    """The parent's records; of a network that is in part new they do not know the start."""
    return saved if match.is_whole else {**saved, "dead_units": dead_units.AT_START}


def _changed_games(parent: Config, config: Config) -> list[str]:
    """What differs in how games are played; life loss and clipping are the learner's affair."""
    machine = Machine.detect("cpu")
    recipes = [build.env_recipe(each, derive(each, machine)) for each in (parent, config)]
    if recipes[0] == recipes[1]:
        return []
    return [f"{key} {change}" for key, change in _changes(parent, config) if key[:4] == "env."]


def _why_new_games(parent: Config, config: Config, changed: list[str]) -> list[str]:
    """Why the environments' saved states do not fit; empty where they do."""
    pairs = {
        "sampler.num_envs": (parent.sampler.num_envs, config.sampler.num_envs),
        "seed": (parent.seed, config.seed),
        "model.core": (parent.model.core, config.model.core),
        "model.core_size": (parent.model.core_size, config.model.core_size),
    }
    return changed + [f"{k} {old} -> {new}" for k, (old, new) in pairs.items() if old != new]


def _learns_alike(parent: Config, config: Config) -> bool:
    """Whether what the parent has collected means the same to the child's algorithm."""
    old, new = parent.algo, config.algo
    return (old.name, old.rollout_length) == (new.name, new.rollout_length)


def _num_evaluations(parent: Config, config: Config, saved: StateTree) -> int:
    """Rounds counted as done: with another interval, those that it would have had by now."""
    interval = config.eval_interval_agent_steps
    if interval in (0, parent.eval_interval_agent_steps):
        return saved["num_evaluations"]
    return saved["agent_steps"] // interval


def _changes(parent: Config, config: Config) -> list[tuple[str, str]]:
    """Keys of the environment and the network that differ, as `old -> new`."""
    old, new = ({"env": asdict(c.env), "model": asdict(c.model)} for c in (parent, config))
    return list(config_differences(old, new).items())


def _report(point: ForkPoint, match: TensorMatch, anew: list[str]) -> list[tuple[str, str]]:
    rows = [
        (
            "forked from",
            f"{point.run} at {point.agent_steps:,} agent steps ({point.checkpoint.name}, sha256 "
            f"{point.sha256[:12]}); agent steps are counted on",
        ),
        ("starts anew", ", ".join(anew) or "nothing"),
    ]
    if not match.is_whole:
        kinds = {"kept": match.kept, "new": match.new, "dropped": match.dropped}
        rows += [(f"tensors {kind}", ", ".join(names) or "none") for kind, names in kinds.items()]
    return rows


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return (", ".join(names[:_MOST_NAMED]) or "nothing") + more
