"""Each rule fires on its mistake, shows its numbers, offers a fix that works; all rules at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from accel.config.errors import ConfigError, Problem
from accel.config.keys import known_keys
from accel.config.machine import Machine
from accel.config.ranges import CHOICES, RANGES
from accel.config.run_dir import typed_keys
from accel.config.schema import Config
from accel.config.validate import validate

Compose = Callable[..., Config]

ADAM = "algo.optimizer=adam"
WARMUP = "algo.learning_rate_warmup_agent_steps"
MISTAKES = [
    # (overrides, key, words of the rule or numbers, words of the fix)
    (
        ["sampler.num_envs=15", "sampler.num_groups=2"],
        "sampler.num_envs",
        "2 groups; 15 = 7 x 2 + 1",
        "sampler.num_envs=14 or sampler.num_envs=16 or sampler.num_groups=1",
    ),
    (
        ["sampler.num_envs=15", "sampler.num_groups=2", "hardware.learners=4"],
        "sampler.num_envs",
        "2 groups x 4 learners = 8; 15 = 1 x 8 + 7",
        "sampler.num_envs=8 or sampler.num_envs=16",
    ),
    (
        ["sampler.num_envs=15", "hardware.learners=4"],
        "sampler.num_envs",
        "4 learners; 15 = 3 x 4 + 3",
        "sampler.num_envs=12 or sampler.num_envs=16",
    ),
    (
        ["sampler.num_groups=2", "sampler.num_workers=5"],
        "sampler.num_workers",
        "8 environments / (2 groups) = 4 for 5 workers",
        "sampler.num_workers=4 or sampler.num_envs=10",
    ),
    (
        ["sampler.num_workers=9"],
        "sampler.num_workers",
        "8 environments / (1 group) = 8 for 9 workers",
        "sampler.num_workers=8 or sampler.num_envs=9",
    ),
    (
        ["algo.num_minibatches=3"],
        "algo.num_minibatches",
        "128 x 8 = 1,024; 1,024 / 3 = 341.333",
        "algo.num_minibatches=2 or algo.num_minibatches=4",
    ),
    (["total_agent_steps=1000"], "total_agent_steps", "128 x 8 = 1,024", "total_agent_steps=1024"),
    (["algo.discount=1.01"], "algo.discount", "[0, 1]", "[0, 1]"),
    (["algo.learning_rate=0"], "algo.learning_rate", "above 0", "above 0"),
    (["algo.learning_rate=nan"], "algo.learning_rate", "above 0", "above 0"),
    (["algo.learning_rate=inf"], "algo.learning_rate", "above 0, and finite", "above 0, and"),
    (["algo.rmsprop_decay=1"], "algo.rmsprop_decay", "[0, 1)", "[0, 1)"),
    (["env.protocol=moden"], "env.protocol", "modern, classic", "env.protocol=modern"),
    (["env.screen=84x48"], "env.screen", "84x84", "env.screen=84x84"),
    (["env.frames=gpu"], "env.frames", "worker, device", "env.frames=worker"),
    (["model.name=nature"], "model.name", "nature_cnn", "model=nature_cnn"),
    (["algo.name=pp0"], "algo.name", "ppo", "algo=ppo"),
    (["algo.name=a2c"], "algo.name", "group", "algo=a2c"),
    (["env.game=brekout"], "env.game", "Atari game", "breakout"),
    (["env.mode=77"], "env.mode", "mode of the game", "[0, 1]"),
    (["env.frame_skip=8", "env.max_frames_per_episode=4"], "env.max_frames_per_episode", "8", "8"),
    (["model=mlp"], "model.name", "images", "model=nature_cnn"),
    (["env=gym"], "model.name", "4, float32", "model=mlp"),
    (["env=gym", "model=mlp", "env.frame_skip=4"], "env.frame_skip", "must be 1", "frame_skip=1"),
    (["env=gym", "model=mlp", "env.game=CartPol-v1"], "env.game", "Gymnasium", "CartPole"),
    (["env=gym", "model=mlp", "env.game=Pendulum-v1"], "env.game", "discrete", "Discrete"),
    (["device=gpu"], "device", "cuda:N", "device=auto"),
    (["device=cuda"], "device", "torch sees 0", "device=cpu"),
    (["run_dir=' '"], "run_dir", "folder", "run_dir"),
    (["algo=pqn", "algo.epsilon_final_min=0.1"], "algo.epsilon_final_min", "0.001", "null"),
    (["model.core=ltsm"], "model.core", "none, lstm, gru", "model.core=lstm"),
    (["model.core=lstm", "algo.num_minibatches=3"], "algo.num_minibatches", "8 / 3", "=2 or"),
    (["model.core=gru", "model.separate_critic=true"], "model.separate_critic", "share", "false"),
    (["algo=dqn", "model.core=gru"], "model.core", "single steps", "algo=r2d2"),
    (["algo=r2d2", "model.core=none"], "model.core", "recurrent core", "model.core=lstm"),
    (["algo=impala", "algo.c_bar=2"], "algo.c_bar", "2 > 1", "algo.c_bar=1, or algo.rho_bar=2"),
    (["algo=impala", "algo.c_bar=inf"], "algo.c_bar", "and finite", "above 0, and finite"),
    (["algo=impala", "algo.num_minibatches=5"], "algo.num_minibatches", "32 / 5 = 6.4", "=4 or"),
    (["algo=impala", "algo.vtrace_lambda=1.5"], "algo.vtrace_lambda", "[0, 1]", "[0, 1]"),
    (["stop_at_return=nan"], "stop_at_return", "must be a finite number", "any finite number"),
    (["stop_at_return=-inf"], "stop_at_return", "must be a finite number", "any finite number"),
    (["overwrite=true", "resume=must"], "overwrite", "resume=must", "overwrite=false"),
    (["algo=async_dqn", "algo.save_replay=true"], "algo.save_replay", "4 learners", "=false"),
    (["algo=appo", "algo.num_minibatches=3"], "algo.num_minibatches", "128 x 4 = 512", "=2"),
    (["runner.policy_lag=2"], "runner.policy_lag", "one of 0, 1, free", "runner.policy_lag=0"),
    (["algo=a2c", "runner.policy_lag=2"], "runner.policy_lag", "one of 0, 1, free", "=0"),
    (["algo=appo", "runner.policy_lag=1"], "runner.policy_lag", "each other", "policy_lag=0"),
]
WARNINGS = [
    (["sampler.num_workers=8", "sampler.num_envs=16"], "sampler.num_workers", "4 usable cores"),
    (["sampler.num_envs=15"], "sampler.num_envs", "15 = 7 x 2 + 1: one group"),
    (["sampler=serial", "sampler.num_workers=2"], "sampler.num_workers", "ignored"),
    (["hardware.learners=5", "sampler.num_envs=40"], "hardware.learners", "4 usable cores"),
    (["hardware.learner_threads=5"], "hardware.learner_threads", "4 usable cores"),
    (["hardware.cuda_graphs=true"], "hardware.cuda_graphs", "CPU"),
    (["algo.epsilon_inside_sqrt=true"], "algo.epsilon_inside_sqrt", "adam"),
    (["algo=a2c", ADAM, "algo.epsilon_inside_sqrt=true"], "algo.epsilon_inside_sqrt", "adam"),
    (["algo.rmsprop_decay=0.9"], "algo.rmsprop_decay", "adam"),
    (["algo.rmsprop_initial_mean_square=1"], "algo.rmsprop_initial_mean_square", "adam"),
    ([f"{WARMUP}=10_000_001"], WARMUP, "10,000,001 of 10,000,000 total"),
    (["experiment=pong_a2c", "total_agent_steps=3200"], WARMUP, "0.5 of its schedule at the end"),
    ([f"{WARMUP}=1024"], WARMUP, "1,024 agent steps\n    fix      " + WARMUP + "=51200"),
    (["algo=dqn", f"{WARMUP}=9_960_000"], WARMUP, "after 49,984 without learning, 9,960,000 of"),
    (["algo=dqn", f"{WARMUP}=20"], WARMUP, "a rollout has 32 agent steps"),
    (["experiment=pong_a2c", "sampler.num_envs=512"], WARMUP, "8,192 agent steps"),
    (["experiment=pong_quick", "model.layer_norm=true"], "model.layer_norm", "0.07 %"),
    (["experiment=pong_a2c", "model.initialization=default"], "model.initialization", "0.06 %"),
    (["eval_interval_agent_steps=20000000"], "eval_interval_agent_steps", "20,000,000"),
    (["env=gym", "model=mlp", "env.protocol=classic"], "env.protocol", "ignored"),
    (["env=gym", "model=mlp", "env.frames=device"], "env.frames", "ignored"),
    (["env.frames=device"], "env.frames", "without a GPU"),
    (["algo.num_minibatches=1024"], "algo.num_minibatches", "/ 1024 = 1"),
    (["algo=a2c", "runner.policy_lag=1"], "runner.policy_lag", "biased"),
    (["algo=pqn", "runner.policy_lag=free"], "runner.policy_lag", "older weights"),
]


@pytest.mark.parametrize(("overrides", "key", "shown", "fix"), MISTAKES)
def test_a_mistake_is_one_error_with_its_numbers_and_a_fix(
    overrides: list[str],
    key: str,
    shown: str,
    fix: str,
    make_config: Compose,
    machine: Machine,
) -> None:
    problems = errors(validate(make_config(*overrides), machine))
    assert [problem.key for problem in problems] == [key]
    assert shown in str(problems[0])
    assert fix in problems[0].fix


@pytest.mark.parametrize(("overrides", "key", "shown"), WARNINGS)
def test_what_runs_but_not_well_is_a_warning(
    overrides: list[str], key: str, shown: str, make_config: Compose, machine: Machine
) -> None:
    (problem,) = validate(make_config(*overrides), machine, typed_keys(overrides))
    assert (problem.severity, problem.key) == ("warning", key)
    assert shown in str(problem)


@pytest.mark.parametrize(
    "overrides",
    [
        ["algo=a2c", ADAM],  # the group's own settings of RMSProp are nobody's mistake
        ["algo=impala", ADAM],
        ["experiment=pong_a2c", "algo.optimizer=rmsprop"],
        ["experiment=pong_a2c"],  # warmed up
        ["algo=pqn", "algo.learning_rate=1e-3"],  # normalizes by design
        ["algo=pqn", "model.layer_norm=true", "algo.learning_rate=1e-3"],
        ["algo=a2c", "model.layer_norm=true"],  # RMSProp's first steps are small
        ["algo=a2c", ADAM, "algo.learning_rate=1e-4", "model.layer_norm=true"],
        ["experiment=cartpole_impala", "model.layer_norm=true"],  # no images
    ],
)
def test_what_is_meant_so_gives_no_warning(
    overrides: list[str], make_config: Compose, machine: Machine
) -> None:
    assert validate(make_config(*overrides), machine, typed_keys(overrides)) == []


def test_offered_numbers_of_environments_are_valid(make_config: Compose, machine: Machine) -> None:
    for words in ("sampler.num_groups=2", "sampler.num_groups=3", "hardware.learners=4"):
        overrides = ["sampler.num_envs=17", words]
        (problem,) = errors(validate(make_config(*overrides), machine))
        for fix in problem.fix.split(" or "):
            fixed = make_config(*overrides, fix)
            assert "sampler.num_envs" not in [p.key for p in errors(validate(fixed, machine))], fix


def test_asynchronous_learners_need_linux_unless_there_is_one(
    make_config: Compose, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    (problem,) = errors(validate(make_config("algo=a3c"), machine))
    assert problem.key == "algo.asynchronous" and "Linux" in problem.rule
    assert not errors(validate(make_config("algo=a3c", "hardware.learners=1"), machine))


def test_all_problems_are_reported_at_once(make_config: Compose, machine: Machine) -> None:
    config = make_config(
        "sampler.num_envs=15",
        "sampler.num_groups=2",
        "algo.num_minibatches=7",
        "algo.discount=1.2",
        "env.game=pongg",
        "device=cuda",
        "model.name=resnet",
        "sampler.num_workers=5",
    )
    problems = validate(config, machine)
    assert {problem.key for problem in errors(problems)} == {
        "sampler.num_envs",
        "algo.num_minibatches",
        "algo.discount",
        "env.game",
        "device",
        "model.name",
    }
    message = str(ConfigError(problems))
    assert message.startswith(f"The config has {len(problems)} problems:")
    assert all(f"{problem.key}=" in message for problem in problems)
    assert problems[-1].severity == "warning"


def test_arithmetic_is_not_done_with_numbers_out_of_range(
    make_config: Compose, machine: Machine
) -> None:
    config = make_config("sampler.num_envs=0", "algo.num_minibatches=0", "sampler.num_groups=0")
    problems = validate(config, machine)
    assert [problem.key for problem in problems] == [
        "algo.num_minibatches",
        "sampler.num_envs",
        "sampler.num_groups",
    ]


def test_a_rollout_larger_than_the_memory_is_refused(make_config: Compose) -> None:
    # (128 + 4) x 1024 frames of 84 x 84 bytes are 953.7 MB, plus 90 bytes for each of the steps.
    config = make_config("sampler.num_envs=1024")
    assert validate(config, Machine(cores=4, memory_bytes=10**9)) == []
    (problem,) = validate(config, Machine(cores=4, memory_bytes=500 * 10**6))
    assert "966 MB; available: 500 MB" in problem.arithmetic
    assert problem.fix == "sampler.num_envs=529 or less"


def test_devices_are_counted(make_config: Compose) -> None:
    two = Machine(cores=4, memory_bytes=10**10, cuda_devices=2)
    assert validate(make_config("device=cuda:1"), two) == []
    (problem,) = validate(make_config("device=cuda:2"), two)
    assert "cuda:1" in problem.fix


def test_every_table_key_exists() -> None:
    assert {*CHOICES, *RANGES} <= set(known_keys())


def test_every_number_of_the_schema_has_a_range() -> None:
    kinds = {key: set(get_args(hint)) or {hint} for key, hint in known_keys().items()}
    assert {key for key, kind in kinds.items() if kind & {int, float}} == set(RANGES)


def errors(problems: list[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == "error"]
