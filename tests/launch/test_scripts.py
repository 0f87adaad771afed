"""The shell scripts without a cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for path in (
        *ROOT.glob("launch/*.sh"),
        *ROOT.glob("launch/slurm/*"),
        *ROOT.glob("launch/dgx/*"),
        ROOT / ".ci" / "run",
    )
    if path.is_file()
)
WITH_THIS_PYTHON = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(*words: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**os.environ, **WITH_THIS_PYTHON},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("SHELL SCRIPTS NOT CHECKED: apt-get install shellcheck")
    done = run("shellcheck", "--external-sources", script)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "script", ["gpu_check.sh", "slurm/submit.sh", "dgx/one_job.sh", "dgx/sweep.sh"]
)
def test_help_is_the_comment_at_the_top(script: str) -> None:
    done = run(f"launch/{script}", "--help")
    assert done.returncode == 0, done.stderr
    assert Path(script).name in done.stdout and "set -" not in done.stdout


def test_a_mistyped_job_script_is_reported() -> None:
    done = run("launch/slurm/submit.sh", "one_nod", "seed=1")
    assert done.returncode == 2
    assert "one_nod.sbatch" in done.stderr and "several_nodes" in done.stderr


@pytest.mark.parametrize(
    "script, before", [("one_job", []), ("sweep", ["-m", "hydra/launcher=slots"])]
)
def test_on_a_dgx_words_reach_the_program(script: str, before: list[str], stand_in: Path) -> None:
    done = run(stand_in / "launch" / "dgx" / f"{script}.sh", "do=end", "seed=0,1")
    assert done.returncode == 0, done.stderr
    told = json.loads((stand_in / "notes" / "start0-attempt0-rank0.json").read_text())
    assert told["argv"] == [*before, "do=end", "seed=0,1"]
