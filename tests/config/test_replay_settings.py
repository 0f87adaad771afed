"""What a replay's settings come to, and each rule about them on its mistake."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from accel.config.derive import derive
from accel.config.describe import describe
from accel.config.errors import Problem
from accel.config.machine import Machine
from accel.config.replay import optimizer_steps, replay_bytes, updates_per_rollout
from accel.config.schema import Config
from accel.config.validate import validate
from accel.replay import TransitionReader, bytes_needed, ring_fields, ring_rows
from accel.replay.window import Window
from accel.types import EnvSpec

Compose = Callable[..., Config]

MISTAKES = [
    # (overrides, key, words of the rule or numbers, words of the fix)
    # 4 stacked frames, one step on, two rows to draw from: 6 rows, in whole rollouts of 4.
    (["algo.replay_capacity=63"], "algo.replay_capacity", "4 rows in", "=64 or more"),
    (["algo.replay_capacity=0"], "algo.replay_capacity", "at least 1", "at least 1"),
    (["algo.rollout_length=0"], "algo.rollout_length", "at least 1", "at least 1"),
    (["algo.replay_capacity=40000"], "algo.learning_starts", "5000 rows x 8", "=40000 or less"),
    (["algo.replay_capacity=2_000_000"], "algo.replay_capacity", "memory", "=1000000 or less"),
    (["total_agent_steps=50_000"], "algo.learning_starts", "50,000 >= 50,000", "=2500"),
    (["algo.v_min=10"], "algo.v_min", "below v_max=10", "algo.v_min=-10 algo.v_max=10"),
    (["algo.v_max=inf"], "algo.v_max", "must be a finite number", "any finite number"),
    (["algo.num_atoms=1"], "algo.num_atoms", "at least 2", "at least 2"),
    (["algo.max_grad_norm=0"], "algo.max_grad_norm", "above 0", "above 0"),
    (["algo.distribution=expcted"], "algo.distribution", "expected", "algo.distribution=expected"),
    (
        ["algo.double=true", "algo.munchausen=true"],
        "algo.munchausen",
        "algo.double",
        "double=false",
    ),
    (["algo.double=true", "algo.target=sarsa"], "algo.target", "algo.double", "algo.double=false"),
    (
        ["algo.double=true", "algo.target=monte_carlo"],
        "algo.target",
        "algo.double",
        "algo.double=false",
    ),
    (["algo.n_step=3", "algo.target=monte_carlo"], "algo.n_step", "must be 1", "algo.n_step=1"),
    (["algo.munchausen=true", "algo.target=sarsa"], "algo.target", "algo.munchausen", "sen=false"),
    (
        ["algo.munchausen=true", "algo.value_rescaling=true"],
        "algo.value_rescaling",
        "in one scale",
        "algo.value_rescaling=false",
    ),
    *(
        ([f"algo={algo}", switch], switch.split("=")[0], f"not {distribution}", "leave it out")
        for algo, distribution in (("c51", "categorical"), ("iqn", "implicit"))
        for switch in ("algo.munchausen=true", "algo.target=sarsa", "algo.value_rescaling=true")
    ),
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
    (problem,) = validate(make_config("algo=dqn", *overrides), machine)
    assert (problem.key, problem.severity) == (key, "error")
    assert shown in str(problem)
    assert fix in problem.fix


def test_whole_returns_are_learned_by_every_head_but_not_from_sequences(make_config, machine):
    for algo in ("dqn", "c51", "qr_dqn", "iqn"):
        config = make_config(f"algo={algo}", "algo.target=monte_carlo")
        assert validate(config, machine) == []
    length = "total_agent_steps=50_000_000"
    (problem,) = validate(make_config("algo=r2d2", "algo.target=monte_carlo", length), machine)
    assert (problem.key, problem.severity) == ("algo.target", "error")
    assert "must be q_learning in algo=r2d2" in str(problem)


def test_a_target_network_that_hardly_moves_is_warned_of(make_config: Compose, machine) -> None:
    """R2D2's 3.2 million agent steps between copies are for longer runs than the default."""
    (problem,) = validate(make_config("algo=r2d2"), machine)
    assert (problem.key, problem.value) == ("algo.target_interval_agent_steps", 3_200_000)
    assert problem.severity == "warning"
    assert "to 10,000,000 it is copied 3 times: every 3,200,000" in problem.arithmetic
    for fix in problem.fix.replace(" or more", "").replace(" or less", "").split(", or "):
        assert validate(make_config("algo=r2d2", fix), machine) == []


def test_copies_are_counted_from_where_learning_starts_to_before_the_end(make_config, machine):
    def problems(*words: str) -> list[Problem]:
        return validate(make_config("algo=dqn", *words), machine)

    starts = "algo.learning_starts=50_000"  # and is itself at a copy, of what has not learned yet
    assert problems(starts, "total_agent_steps=150_001") == []
    (problem,) = problems(starts, "total_agent_steps=150_000")
    assert "copied 9 times" in problem.arithmetic
    (problem,) = problems("algo.target_interval_agent_steps=5_000_000")
    assert "copied 1 time: every" in problem.arithmetic
    (problem,) = problems("total_agent_steps=50_005")
    assert problem.fix == "total_agent_steps=160000 or more"  # no interval is short enough
    (error,) = problems("total_agent_steps=50_000")  # nothing is learned at all: that is told alone
    assert error.severity == "error"


@pytest.mark.parametrize(("starts", "total", "interval"), [(0, 12, 7), (999, 12_345, 4_000)])
def test_either_fix_of_a_slow_target_is_enough(starts, total, interval, make_config, machine):
    words = ["algo=dqn", f"algo.learning_starts={starts}", "algo.rollout_length=1"]
    words += ["sampler.num_envs=2"]

    def problems(total: int | str, interval: int | str) -> list[Problem]:
        lengths = (f"total_agent_steps={total}", f"algo.target_interval_agent_steps={interval}")
        return validate(make_config(*words, *lengths), machine)

    (problem,) = problems(total, interval)
    longer, shorter = re.findall(r"=(\d+)", problem.fix)
    assert problems(longer, interval) == [] == problems(total, shorter)


def test_a_replay_shorter_than_an_episode_is_warned_of(make_config, machine) -> None:
    """108,000 frames are 27,000 steps; 3 frames before the first and 1 after the last: 27,004."""

    def problems(*words: str) -> list[Problem]:
        return validate(make_config("algo=dqn", "algo.target=monte_carlo", *words), machine)

    (problem,) = problems("algo.replay_capacity=200_000")
    assert (problem.key, problem.severity) == ("algo.replay_capacity", "warning")
    assert "200,000 / 8 environments = 25,000 rows" in problem.arithmetic
    assert "108,000 frames / 4 = 27,000" in problem.arithmetic
    assert problem.fix.split()[0] == "algo.replay_capacity=216032"
    assert problems("algo.replay_capacity=216032") == []
    assert problems("algo.replay_capacity=200_000", "env.max_frames_per_episode=0") == []
    assert validate(make_config("algo=dqn", "algo.replay_capacity=200_000"), machine) == []


def test_switches_that_exclude_each_other_are_all_named(make_config: Compose, machine) -> None:
    switches = ["algo.double=true", "algo.munchausen=true", "algo.target=sarsa"]
    problems = validate(make_config("algo=dqn", *switches), machine)
    assert [problem.key for problem in problems] == ["algo.munchausen", "algo.target"]
    assert "algo.double, algo.munchausen" in str(problems[1])
    fix = "algo.double=false algo.munchausen=false, or algo.target=q_learning"
    assert problems[1].fix == fix


@pytest.mark.parametrize("n_step", [1, 3, 20])
@pytest.mark.parametrize("frame_stack", [1, 4])
@pytest.mark.parametrize("rollout_length", [1, 4, 5])
def test_the_least_capacity_is_the_replays_own(
    n_step: int, frame_stack: int, rollout_length: int, make_config: Compose, machine: Machine
) -> None:
    """The rule's fix passes, a rollout less does not, and the replay agrees with both."""
    settings = [
        "algo=dqn",
        "algo.learning_starts=0",
        f"algo.n_step={n_step}",
        f"env.frame_stack={frame_stack}",
        f"algo.rollout_length={rollout_length}",
    ]
    (problem,) = validate(make_config(*settings, "algo.replay_capacity=1"), machine)
    fix = problem.fix.split()[0]
    assert validate(make_config(*settings, fix), machine) == []
    least = int(fix.split("=")[1])
    before, reach = frame_stack - 1, TransitionReader(n_step=n_step).reach

    def rows(capacity: int) -> int:
        return ring_rows(capacity, num_envs=8, rollout_length=rollout_length)

    Window(rows(least), rollout_length, before=before, reach=reach)
    assert validate(make_config(*settings, f"algo.replay_capacity={least - 1}"), machine) != []
    with pytest.raises(ValueError):
        Window(rows(least - 1), rollout_length, before=before, reach=reach)


@pytest.mark.parametrize("screen", ["84x84", "104x80"])
def test_bytes_are_those_of_the_arrays_and_the_table(screen: str, make_config: Compose) -> None:
    height, width = map(int, screen.split("x"))
    spec = EnvSpec((height, width), "uint8", frame_stack=4, num_actions=6, frame_skip=4)
    config = make_config("algo=dqn", f"env.screen={screen}")
    arrays = bytes_needed(ring_fields(spec, num_rows=125_000, num_envs=8, rollout_length=4))
    table = 1_000_000 * 8 * (1 + 1 / 32 + 1 / 32**2) + 1_000_000  # weights, their sums, flags
    assert replay_bytes(config) == pytest.approx(arrays + table, rel=1e-4)
    assert replay_bytes(make_config()) is None
    assert replay_bytes(make_config("algo=dqn", "env=gym", "model=mlp")) is None


def test_learning_is_counted_in_updates(make_config: Compose, machine: Machine) -> None:
    """8 environments x 4 steps, each sample learned from 8 times in batches of 32."""
    config = make_config("algo=dqn", "total_agent_steps=1_050_000")
    assert updates_per_rollout(config) == 8
    assert optimizer_steps(config) == 250_000
    rows = dict(describe(config, derive(config, machine)))
    assert rows["rollout"] == "8 environments x 4 steps = 32"
    assert rows["length"] == (
        "1,050,000 agent steps = 4,200,000 frames, 32,813 rollouts, 250,000 updates"
    )
    assert rows["replay"] == "the last 1,000,000 agent steps, 7.08 GB when full; uniform"
    assert rows["learning"].startswith("from 50,000 agent steps on, 32 samples an update, 8 upd")


def test_the_report_says_what_the_replay_takes_on_disk(make_config: Compose, machine) -> None:
    def row(*words: str) -> str:
        config = make_config("algo=dqn", *words)
        return dict(describe(config, derive(config, machine)))["replay on disk"]

    assert row() == (
        "7.08 GB when full, and what 2 x 300 s of playing add, at most 21.2 GB; gone once finished"
    )
    assert row("env=gym", "model=mlp").startswith("as much as in memory, and what 2 x 300 s")
    assert row("algo.save_replay=false") == (
        "none (save_replay=false): a resumed run starts with an empty replay, learns again once "
        "50,000 agent steps are in it, and is not bit for bit the uninterrupted run"
    )


def test_a_disk_without_room_for_the_replay_is_warned_of(
    make_config: Compose, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=7_000_000_000))

    def problems(*words: str) -> list[Problem]:
        settings = ("algo=dqn", f"run_dir='{tmp_path / 'not_yet' / 'run'}'", *words)
        return validate(make_config(*settings), machine)

    (problem,) = problems()
    assert (problem.key, problem.severity) == ("algo.save_replay", "warning")
    assert "takes 7.08 GB; free in" in problem.arithmetic and "7 GB" in problem.arithmetic
    assert "algo.save_replay=false" in problem.fix
    assert problems("algo.save_replay=false") == []
    assert problems("total_agent_steps=900_000") == []  # it will not be full
    saved = tmp_path / "not_yet" / "run" / "replay"
    saved.mkdir(parents=True)
    with (saved / "rows.pt").open("wb") as file:
        file.truncate(100_000_000)  # what a resumed run has there already
    assert problems() == []


def test_no_limit_of_the_gradients_norm(make_config: Compose, machine: Machine) -> None:
    for algo in ("ppo", "pqn", "rainbow"):
        config = make_config(f"algo={algo}", "algo.max_grad_norm=null")
        assert config.algo.max_grad_norm is None
        assert validate(config, machine) == []
