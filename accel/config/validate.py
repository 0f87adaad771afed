"""Every rule a config must pass, checked together, so that one start of the command shows them all.

Rules about one key are tables in `ranges.py`, those about how the work is divided are in
`layout.py`; this file holds the rest and puts all of them together.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from accel.config.errors import Problem
from accel.config.gpu_sharing import sharing_rules
from accel.config.keys import ALGO_SCHEMAS
from accel.config.layout import LAYOUT_RULES, LEARNERS
from accel.config.learning import IMAGE_MODELS, ignored_by_adam, initialization_rules
from accel.config.machine import Machine
from accel.config.overlap import lag_rules
from accel.config.papers import paper_rules
from accel.config.ranges import CHOICES, check_choices, check_ranges
from accel.config.replay import copy_rules, exploration_rules, target_rules
from accel.config.schema import (
    ActorCriticConfig,
    Config,
    DQNConfig,
    EnvConfig,
    IMPALAConfig,
    R2D2Config,
)
from accel.types import EnvSpec

_ATARI_ONLY = (
    "protocol",
    "screen",
    "frames",
    "repeat_action_probability",
    "max_noops",
    "terminal_on_life_loss",
    "full_action_space",
    "fire_on_reset",
    "mode",
    "difficulty",
    "max_frames_per_episode",
)


def validate(config: Config, machine: Machine, typed: Collection[str] = ()) -> list[Problem]:
    """All problems of a config on a machine: errors first, then warnings.

    `typed` are the keys that the command line sets itself. Builds one environment where only that
    can tell whether the settings fit it.
    """
    problems = [*check_choices(config), *check_ranges(config)]
    wrong = {problem.key for problem in problems}
    keyed = (
        *LAYOUT_RULES,
        (("algo.c_bar", "algo.rho_bar"), _vtrace),
        (("algo.epsilon_final", "algo.epsilon_final_min"), exploration_rules),
        (
            ("total_agent_steps", "algo.learning_starts", "algo.target_interval_agent_steps"),
            copy_rules,
        ),
        (("runner.policy_lag",), lag_rules),
        (("runner.policy_lag", *LEARNERS), sharing_rules),
    )
    for keys, rule in keyed:
        if not wrong.intersection(keys):  # its arithmetic would only repeat the mistake
            problems += rule(config, machine)
    for rule in (
        _group,
        _environment,
        _frames,
        _ignored,
        _device,
        _evaluation,
        _folder,
        _core,
        target_rules,
        initialization_rules,
    ):
        problems += rule(config, machine)
    problems += ignored_by_adam(config, typed)
    if not any(problem.severity == "error" for problem in problems):
        problems += paper_rules(config, machine)  # advice, for what can run
    return sorted(problems, key=lambda problem: problem.severity)


def _group(config: Config, machine: Machine) -> Iterator[Problem]:
    """algo.name=a2c on the values of algo=ppo would run neither."""
    schema = ALGO_SCHEMAS.get(config.algo.name)
    if schema is not None and not isinstance(config.algo, schema):
        name = config.algo.name
        rule = "must belong to the chosen option of its group"
        yield Problem("algo.name", name, rule, f"algo={name} (the whole group, not its name)")


def _environment(config: Config, machine: Machine) -> Iterator[Problem]:
    if config.env.kind == "atari":
        yield from _atari_game(config)
    elif config.env.kind == "gym":
        yield from _gym_game(config)


def _atari_game(config: Config) -> Iterator[Problem]:
    from accel.envs.games import resolve_game

    env = config.env
    if config.model.name == "mlp":
        rule = "must be a convolutional network: Atari observations are images"
        yield Problem("model.name", "mlp", rule, "model=nature_cnn or model=impala_cnn")
    try:
        resolve_game(env.game)
    except ValueError as error:
        yield Problem("env.game", env.game, "must name an Atari game", str(error))
        return
    for name, value in (("mode", env.mode), ("difficulty", env.difficulty)):
        if value is not None:
            yield from _atari_switch(env.game, name, value)


def _atari_switch(game: str, name: str, value: int) -> Iterator[Problem]:
    """Only the loaded game knows which modes and difficulties it has."""
    from accel.envs.atari import AtariEnv

    try:
        AtariEnv(game, seed=0, **{name: value})
    except ValueError as error:
        yield Problem(f"env.{name}", value, f"must be a {name} of the game", str(error))


def _gym_game(config: Config) -> Iterator[Problem]:
    """Only the built environment knows what it observes and whether its actions are discrete."""
    from accel.envs.gym import GymEnv

    env = config.env
    try:
        built = GymEnv(env.game, max(1, env.frame_stack), seed=0)
    except ValueError as error:
        rule = "must be a Gymnasium environment with discrete actions and one array to observe"
        yield Problem("env.game", env.game, rule, str(error).strip())
        return
    built.close()
    yield from _model_fits(config, built.spec)


def _frames(config: Config, machine: Machine) -> Iterator[Problem]:
    env = config.env
    if env.kind == "atari" and 0 < env.max_frames_per_episode < env.frame_skip:
        yield Problem(
            "env.max_frames_per_episode",
            env.max_frames_per_episode,
            "must allow at least one agent step",
            f"env.max_frames_per_episode={env.frame_skip} or more, or 0 for no limit",
            f"one agent step is env.frame_skip={env.frame_skip} frames",
        )
    has_gpu = config.device != "cpu" and machine.cuda_devices > 0
    if env.kind == "atari" and env.frames == "device" and not has_gpu:
        rule = "should be worker without a GPU: a CPU core makes frames slower so"
        numbers = "about 0.3 ms a frame, a worker's own kernel takes 0.01 ms"
        yield Problem("env.frames", "device", rule, "env.frames=worker", numbers, "warning")
    if env.kind == "gym" and env.frame_skip != 1:
        rule = "must be 1: Gymnasium environments step as they are"
        fix = "env.frame_skip=1, or an id that repeats actions itself"
        yield Problem("env.frame_skip", env.frame_skip, rule, fix)


def _ignored(config: Config, machine: Machine) -> Iterator[Problem]:
    """Settings without effect are named, not silently dropped."""
    default = EnvConfig()
    for name in _ATARI_ONLY if config.env.kind == "gym" else ():
        value = getattr(config.env, name)
        if value != getattr(default, name):
            rule = "means nothing to env.kind=gym and is ignored"
            yield Problem(f"env.{name}", value, rule, "leave it out", severity="warning")
    on_cpu = config.device == "cpu" or (config.device == "auto" and not machine.cuda_devices)
    if config.hardware.cuda_graphs and on_cpu:
        rule = "means nothing on a CPU and is ignored"
        fix = "leave it out, or device=cuda"
        yield Problem("hardware.cuda_graphs", True, rule, fix, severity="warning")
    if config.fork_partial and config.fork is None:
        rule = "means nothing without fork and is ignored"
        yield Problem("fork_partial", True, rule, "leave it out", severity="warning")


def _model_fits(config: Config, spec: EnvSpec) -> Iterator[Problem]:
    model, axes = config.model.name, len(spec.frame_shape)
    if model not in CHOICES["model.name"]:
        return  # a mistake of its own
    if (axes == 1 and model == "mlp") or (axes == 2 and model in IMAGE_MODELS):
        return
    fixes = {1: "model=mlp", 2: "model=nature_cnn or model=impala_cnn"}
    yield Problem(
        "model.name",
        model,
        f"must fit the observations of {config.env.game}: mlp for vectors, cnn for gray images",
        fixes.get(axes, "register the environment with a wrapper that makes it either"),
        f"one observation is {' x '.join(map(str, spec.frame_shape))}, {spec.frame_dtype}",
    )


def _core(config: Config, machine: Machine) -> Iterator[Problem]:
    """A recurrent core needs one torso before it, and an algorithm that learns from sequences."""
    algo, model = config.algo, config.model
    if isinstance(algo, R2D2Config):
        if model.core == "none":
            rule = "must be a recurrent core: algo=r2d2 learns to remember"
            yield Problem("model.core", model.core, rule, "model.core=lstm")
    elif model.core == "none":
        return
    elif isinstance(algo, DQNConfig):
        rule = f"needs sequences, and algo={algo.name} learns from single steps"
        yield Problem("model.core", model.core, rule, "algo=r2d2, or model.core=none")
    elif isinstance(algo, ActorCriticConfig) and model.separate_critic:
        rule = "excludes a recurrent core, which policy and value share"
        fix = "model.separate_critic=false, or model.core=none"
        yield Problem("model.separate_critic", True, rule, fix, f"model.core={model.core}")


def _vtrace(config: Config, machine: Machine) -> Iterator[Problem]:
    """The paper proves convergence under this condition (Espeholt et al. 2018, theorem 1)."""
    algo = config.algo
    if isinstance(algo, IMPALAConfig) and algo.c_bar > algo.rho_bar:
        rule = "must not exceed algo.rho_bar, or V-trace need not converge"
        fix = f"algo.c_bar={algo.rho_bar:g}, or algo.rho_bar={algo.c_bar:g}"
        yield Problem("algo.c_bar", algo.c_bar, rule, fix, f"{algo.c_bar:g} > {algo.rho_bar:g}")


def check_device(device: str, machine: Machine) -> Iterator[Problem]:
    """Whether this machine has the device."""
    if device in ("auto", "cpu"):
        return
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        yield Problem("device", device, "must be auto, cpu, cuda or cuda:N", "device=auto")
    elif machine.cuda_devices == 0:
        rule = "needs a CUDA device that torch can use"
        fix = "device=cpu, or a CUDA build of torch and a driver (see nvidia-smi)"
        yield Problem("device", device, rule, fix, "torch sees 0 CUDA devices")
    elif int(match[1] or 0) >= machine.cuda_devices:
        last = machine.cuda_devices - 1
        yield Problem(
            "device",
            device,
            "must be one of the CUDA devices that torch sees",
            "device=cuda:0" if last == 0 else f"device=cuda:0 to device=cuda:{last}",
            f"torch sees {machine.cuda_devices}, numbered from 0",
        )


def _device(config: Config, machine: Machine) -> Iterator[Problem]:
    yield from check_device(config.device, machine)


def _evaluation(config: Config, machine: Machine) -> Iterator[Problem]:
    interval, total = config.eval_interval_agent_steps, config.total_agent_steps
    if interval > total:
        yield Problem(
            "eval_interval_agent_steps",
            interval,
            "should not exceed total_agent_steps, or no evaluation happens before the end",
            f"eval_interval_agent_steps={max(1, total // 10)}, or 0 for none",
            f"{interval:,} > {total:,}",
            severity="warning",
        )


def _folder(config: Config, machine: Machine) -> Iterator[Problem]:
    for key in ("run_dir", "results_root"):
        if not getattr(config, key).strip():
            yield Problem(key, "", "must name a folder", f"leave out {key}")
    if config.overwrite and config.resume == "must":
        rule = "replaces the run that resume=must wants to continue"
        yield Problem("overwrite", True, rule, "overwrite=false, or resume=off")
