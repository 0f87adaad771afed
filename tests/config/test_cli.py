"""launch/train.py as a user meets it: mistakes end with code 2, all named, without a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = Path(__file__).resolve().parents[2] / "launch" / "train.py"


def train(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TRAIN), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["algo.learning_rat=1"], ["algo.learning_rat=1", "algo.learning_rate=..."]),
        (["lr=1"], ["algo.learning_rate=..."]),
        (["algo=a2c", "algo.num_epochs=3"], ["algo.num_epochs", "algo=ppo only"]),
        (["experiment=pong_quick", "algo=a2c"], ["algo.num_epochs", "algo=ppo only"]),
        (["env=atrai"], ["env=atari"]),
        (["seed=many"], ["seed=many", "must be a whole number"]),
        (["algo.learning_rate=["], ["must be a number"]),
        (["seed='${nothing}'"], ["nothing"]),
        (["pong"], ["key=value", "env.game=pong"]),
        (["--seed=1"], ["without dashes", "seed=1"]),
        (["seed=0,1"], ["--multirun"]),
        (["+speed=3"], ["no such key"]),
        (["algo.discount=2", "env.game=pongg"], ["2 problems", "algo.discount=2", "pongg"]),
        (["foo=1", "seed=x", "model=cnn"], ["3 problems", "foo=1", "seed=x", "nature_cnn"]),
        (["-m", "seed=0,1", "sampler.num_envs=8,9"], ["sampler.num_envs=9"]),
    ],
)
def test_a_mistake_is_explained_and_exits_with_2(
    words: list[str], shown: list[str], tmp_path: Path
) -> None:
    done = train(*words, cwd=tmp_path)
    assert done.returncode == 2
    for text in shown:
        assert text in done.stderr
    for noise in ("Traceback", "HYDRA_FULL_ERROR", "Error executing job", "full_key"):
        assert noise not in done.stderr
    assert done.stdout == ""


def test_full_error_shows_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    done = train("algo.discount=2", cwd=tmp_path)
    assert "Traceback" in done.stderr and "algo.discount=2" in done.stderr


def test_looking_does_not_leave_a_file(tmp_path: Path) -> None:
    for words in (["--help"], ["--cfg", "job"], ["algo.discount=2"], ["-sc", "install=bash"]):
        train(*words, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_help_says_how_to_start_and_where_results_land(tmp_path: Path) -> None:
    done = train("--help", cwd=tmp_path)
    assert done.returncode == 0
    for text in ("experiment=pong_quick", "--cfg job", 'eval "$(python', "results/runs/", "-m "):
        assert text in done.stdout


def test_the_composed_config_can_be_seen(tmp_path: Path) -> None:
    done = train("experiment=cartpole", "--cfg", "job", cwd=tmp_path)
    assert done.returncode == 0
    assert "game: CartPole-v1" in done.stdout


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        f"import sys, runpy; sys.argv = ['train.py', '--help']; "
        f"runpy.run_path({str(TRAIN)!r}, run_name='__main__'); "
        "sys.exit(bool({'torch', 'numpy', 'gymnasium', 'ale_py'} & set(sys.modules)))"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )


def test_the_entry_module_imports_nothing_for_spawned_workers() -> None:
    code = (
        f"import sys, runpy; before = set(sys.modules); runpy.run_path({str(TRAIN)!r}); "
        "sys.exit(bool({'hydra', 'omegaconf', 'accel'} & (set(sys.modules) - before)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
