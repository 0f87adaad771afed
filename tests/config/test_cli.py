"""The command line as a user meets it: mistakes end with code 2, all named, without a traceback."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from accel.runners.cli import hydra_entry, load_config

TRAIN = Path(__file__).resolve().parents[2] / "launch" / "train.py"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    # A mistake that goes unnoticed must fail its test at once and not train for hours.
    monkeypatch.setitem(sys.modules, "accel.runners.train", None)


@pytest.fixture
def type_words(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend the command line had these words after the program's name."""
    return lambda *words: monkeypatch.setattr(sys, "argv", [str(TRAIN), *words])


def train(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TRAIN), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["algo.batch_size=64"], ["algo.batch_size", "algo=dqn, c51", "rainbow"]),
        (["algo=rainbow", "algo.munchausen=true"], ["munchausen", "excludes algo.double"]),
        (["algo=dqn", "algo.distribution=c51"], ["expected, categorical, quantile, implicit"]),
        (["algo.learning_rat=1"], ["algo.learning_rat=1", "algo.learning_rate=..."]),
        (["lr=1"], ["algo.learning_rate=..."]),
        (["algo=a2c", "algo.num_epochs=3"], ["algo.num_epochs", "algo=ppo, pqn"]),
        (
            ["algo=impala", "algo.gae_lambda=0.5", "algo.rho_bar=2", "algo.clip_range=0.1"],
            ["2 problems", "algo.gae_lambda=0.5\n", "algo.clip_range=0.1\n"],
        ),
        (["experiment=pong_quick", "algo=a2c"], ["algo.num_epochs", "algo=ppo, pqn"]),
        (["env=atrai"], ["env=atari"]),
        (["seed=many"], ["seed=many", "must be a whole number"]),
        (["stop_at_return=high"], ["stop_at_return=high", "must be a number"]),
        (["algo.learning_rate=["], ["must be a number"]),
        (["env.game=a=[b"], ["grammar"]),
        (["seed='${nothing}'"], ["nothing"]),
        (["algo=base_ppo"], ["missing"]),
        (["pong"], ["key=value", "env.game=pong"]),
        (["--seed=1"], ["without dashes", "seed=1"]),
        (["seed=0,1"], ["--multirun"]),
        (["+speed=3"], ["no such key"]),
        (["algo.discount=2", "env.game=pongg"], ["2 problems", "algo.discount=2", "pongg"]),
        (["foo=1", "seed=x", "model=cnn"], ["3 problems", "foo=1", "seed=x", "nature_cnn"]),
        (["-m", "seed=0,1", "device=cpu,gpu"], ["device=gpu"]),
    ],
)
def test_a_mistake_is_explained_and_exits_with_2(
    words: list[str],
    shown: list[str],
    type_words: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    type_words(*words)
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(TRAIN), run_name="__main__")
    out, err = capsys.readouterr()
    assert stopped.value.code == 2
    for text in shown:
        assert text in err
    for noise in ("Traceback", "HYDRA_FULL_ERROR", "Error executing job", "full_key"):
        assert noise not in err
    assert out == ""


def test_a_mistake_in_a_process_of_its_own() -> None:
    done = train("algo.discount=2", "env.game=pongg")
    assert done.returncode == 2
    assert "The config has 2 problems" in done.stderr
    assert "Traceback" not in done.stderr


def test_full_error_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    done = train("algo.discount=2")
    assert "Traceback" in done.stderr and "algo.discount=2" in done.stderr


def test_a_failure_of_ours_is_not_taken_for_a_mistake(type_words: Callable[..., None]) -> None:
    def fail(composed: DictConfig) -> None:
        raise RuntimeError("worker 3 died")

    type_words()
    with pytest.raises(RuntimeError, match="worker 3 died"):
        hydra_entry("train", fail)


def test_every_run_of_a_sweep_is_checked_first_and_gets_its_own_folder(
    type_words: Callable[..., None], tmp_path: Path
) -> None:
    events: list[str] = []
    type_words("seed=0,1", "-m", "device=cpu,auto", "experiment=cartpole", "results_root=out")
    hydra_entry(
        "train",
        lambda composed: events.append(load_config(composed).run_dir),
        check=lambda composed: events.append(f"checked {load_config(composed).seed}"),
    )
    assert events[:4] == ["checked 0", "checked 0", "checked 1", "checked 1"]
    assert events[4:] == [
        f"out/cartpole/device={device}/seed{seed}" for seed in (0, 1) for device in ("cpu", "auto")
    ]
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["out", "out/multirun.yaml"]


def test_one_run_leaves_no_trace_of_hydra(type_words: Callable[..., None], tmp_path: Path) -> None:
    folders: list[str] = []
    type_words("algo.learning_rate=1e-3")
    hydra_entry("train", lambda composed: folders.append(load_config(composed).run_dir))
    assert folders == ["results/runs/ppo_pong/learning_rate=0.001/seed0"]
    assert list(tmp_path.iterdir()) == []


def test_a_warning_does_not_stop_the_run(
    type_words: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    seeds: list[int] = []
    type_words("algo.epsilon_inside_sqrt=true", "seed=7")
    hydra_entry("train", lambda composed: seeds.append(load_config(composed).seed))
    assert seeds == [7]
    assert capsys.readouterr().err.startswith("warning: algo.epsilon_inside_sqrt=true")


def test_help_says_how_to_start_and_where_results_land(tmp_path: Path) -> None:
    done = train("--help")
    assert done.returncode == 0
    for text in ("experiment=pong_quick", "--cfg job", 'eval "$(python', "results/runs/", "-m "):
        assert text in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_composed_config_can_be_seen(tmp_path: Path) -> None:
    done = train("experiment=cartpole", "--cfg", "job")
    assert done.returncode == 0
    assert "game: CartPole-v1" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_completion_offers_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", "train.py experiment=po")
    done = train("-sc", "query=bash")
    assert done.stdout.split() == [
        "experiment=pong",
        "experiment=pong_a2c",
        "experiment=pong_dqn",
        "experiment=pong_pqn",
        "experiment=pong_quick",
    ]


def test_help_loads_nothing_heavy() -> None:
    code = (
        f"import sys, runpy; sys.argv = ['train.py', '--help']; "
        f"runpy.run_path({str(TRAIN)!r}, run_name='__main__'); "
        "sys.exit(bool({'torch', 'numpy', 'gymnasium', 'ale_py'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)


def test_the_entry_module_imports_nothing_for_spawned_workers() -> None:
    code = (
        f"import sys, runpy; before = set(sys.modules); runpy.run_path({str(TRAIN)!r}); "
        "sys.exit(bool({'hydra', 'omegaconf', 'accel'} & (set(sys.modules) - before)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
