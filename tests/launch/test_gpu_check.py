"""launch/gpu_check.sh: whatever happens, a line for each result; and a rehearsal of all of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks import contender, gpu_check, gpu_check_steps, mps, pytest_run
from benchmarks.composing import compose_config

from accel.config.derive import derive
from accel.config.machine import Machine
from accel.config.validate import validate
from tests.run_commands import WITHOUT_GIT

ROOT = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).with_name("check_driver.py")
# What a step does is its name's first word.
PROGRAM = """
import json, os, subprocess, sys, time
name, device, limit_s, output, answer = sys.argv[1:]
with open(os.path.join(output, "calls"), "a") as calls:
    calls.write(name + "\\n")
print("begins", name)
if name.startswith("fails"):
    sys.exit("Traceback ...\\nboom\\n\\n")
if name.startswith("stuck"):
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; exec sleep 1000"])
    with open(os.path.join(output, "child"), "w") as file:
        file.write(str(child.pid))
    print("waiting for nothing", flush=True)
    time.sleep(1000)
values = {"line": f"{name} is well", "mps": os.environ.get("CUDA_MPS_PIPE_DIRECTORY")}
if name in ("sampling", "ppo_lag1", "ppo_lag0"):
    values["steps_per_s"] = {"sampling": 1000, "ppo_lag1": 800, "ppo_lag0": 600}[name]
json.dump(values, open(answer, "w"))
"""


class Check:
    """A folder of results, and commands that fill it."""

    def __init__(self, folder: Path) -> None:
        self.output, self.code = folder / "out", "abc123"
        self.program = folder / "program.py"
        self.program.write_text(PROGRAM)
        self.environment = dict(os.environ)

    def start(self, *steps: tuple, words: tuple = ()) -> subprocess.Popen:
        """`steps`: name, seconds it takes, its limit, whether under MPS; the last ones optional."""
        whole = [(*step, *(1, 30, False)[len(step) - 1 :]) for step in steps]
        command = [sys.executable, DRIVER, json.dumps(whole), self.program, self.code]
        command += ["--output", self.output, *words]
        return subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            text=True,
            env={**self.environment, **WITHOUT_GIT},
        )

    def run(self, *steps: tuple, words: tuple = ()) -> tuple[int, str]:
        process = self.start(*steps, words=words)
        shown, _ = process.communicate(timeout=60)
        return process.returncode, shown

    def lines(self) -> dict[str, list[str]]:
        """Of each step in the summary: status and words."""
        text = (self.output / "summary.txt").read_text()
        rows = [line.split(None, 1) for line in text.splitlines()[2:-2] if line]
        return {name: rest.split("  ", 1) for name, rest in rows}

    def statuses(self) -> dict[str, str]:
        return {name: status for name, (status, *_) in self.lines().items()}

    def calls(self) -> list[str]:
        return (self.output / "calls").read_text().split()


@pytest.fixture
def check(tmp_path: Path) -> Check:
    return Check(tmp_path)


def test_a_failure_is_a_line_and_the_rest_goes_on(check: Check) -> None:
    code, shown = check.run(("well",), ("fails",), ("sampling",), ("ppo_lag1",), ("ppo_lag0",))
    assert code == 1
    assert check.statuses() == {
        "well": "done", "fails": "FAILED", "sampling": "done", "ppo_lag1": "done",
        "ppo_lag0": "done",
    }  # fmt: skip
    words = {name: rest[-1] for name, rest in check.lines().items()}
    assert words["well"].endswith("the well step: well is well")
    assert words["fails"].endswith("the fails step: boom")
    assert "600 agent steps/s, 0.60 of sampling, 0.75 x lag 1" in words["ppo_lag0"]
    assert shown.rstrip().endswith((check.output / "summary.txt").read_text().rstrip())
    assert "begins fails" in (check.output / "log.txt").read_text()
    files = [path for path in check.output.rglob("*") if path.name != "calls"]
    assert len(files) <= 8  # what comes back from a machine may be counted


def test_finished_steps_are_read_back_and_the_others_tried_again(check: Check) -> None:
    check.run(("well",), ("fails",))
    check.code = "def456"
    check.run(("well",), ("fails",), ("new",))
    assert check.calls() == ["well", "fails", "fails", "new"]
    words = {name: rest[-1] for name, rest in check.lines().items()}
    assert words["well"].endswith("well is well: [of code abc123]") and "[of" not in words["new"]
    check.run(("well",), words=("--device", "cpu"))  # another device's figures do not count
    assert check.calls()[-1] == "well"


def test_what_does_not_fit_is_dropped_from_the_bottom(check: Check) -> None:
    steps = ("first", 20), ("second", 20), ("large", 200), ("last", 5)
    code, shown = check.run(*steps, words=("--budget", "55"))
    assert code == 0 and check.calls() == ["first", "second", "last"]
    assert check.statuses()["large"] == "dropped"
    assert "large        dropped: some 200 s" in shown  # told beforehand
    check.run(*steps, words=("--budget", "300"))
    assert check.calls()[3:] == ["large"]


def test_only_these_steps(check: Check) -> None:
    check.run(("one",), ("two",), words=("--only", "two"))
    assert check.calls() == ["two"]


def test_a_step_over_its_limit_ends_with_all_its_processes(check: Check) -> None:
    code, _ = check.run(("stuck", 1, 1.5), ("well",))
    assert code == 1 and check.statuses() == {"stuck": "FAILED", "well": "done"}
    assert "over its 2 s; waiting for nothing" in check.lines()["stuck"][-1]
    assert _is_gone(int((check.output / "child").read_text()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_cut_off_the_summary_is_whole(check: Check, number: int) -> None:
    process = check.start(("well",), ("stuck", 1, 500), ("never",))
    _wait_until((check.output / "child").exists)
    _wait_until(lambda: (check.output / "child").read_text() != "")
    process.send_signal(number)
    shown, _ = process.communicate(timeout=30)
    killed = number == signal.SIGKILL
    assert process.returncode == (-number if killed else 128 + number)
    assert check.statuses() == {
        "well": "done",
        "stuck": "running" if killed else "cut off",
        "never": "not yet",
    }
    results = json.loads((check.output / "results.json").read_text())["steps"]
    assert results["well"]["status"] == "done" and results["well"]["code"] == "abc123"
    if not killed:
        assert "cut off by" in shown
        assert _is_gone(int((check.output / "child").read_text()))
    else:
        os.kill(int((check.output / "child").read_text()), signal.SIGKILL)
    check.program.write_text(PROGRAM.replace('"stuck"', '"unstuck"'))
    assert check.run(("well",), ("stuck", 1, 500), ("never",))[0] == 0
    assert check.calls() == ["well", "stuck", "stuck", "never"]


MPS = """#!/bin/sh
echo "$1 $(test "$1" = -d || cat) $CUDA_MPS_PIPE_DIRECTORY" >> "$MPS_CALLS"
test -d "$CUDA_MPS_LOG_DIRECTORY" || exit 3
test -z "$MPS_BROKEN" && exit
echo no such device > "$CUDA_MPS_LOG_DIRECTORY/control.log"
exit 1
"""


@pytest.mark.parametrize("step", ["under", "fails_under"])
def test_a_daemon_of_its_own_runs_for_the_step_alone(
    check: Check, step: str, tmp_path: Path
) -> None:
    calls = _pretend_mps(check, tmp_path)
    check.run(("before",), (step, 1, 30, True), ("after",))
    assert check.statuses()["before"] == check.statuses()["after"] == "done"
    (flag, pipe), (quits, same_pipe) = (line.split() for line in calls.read_text().splitlines())
    assert (flag, quits) == ("-d", "quit") and pipe == same_pipe
    results = json.loads((check.output / "results.json").read_text())["steps"]
    assert results["before"]["values"]["mps"] is results["after"]["values"]["mps"] is None
    if step == "under":
        assert results[step]["values"]["mps"] == pipe


def test_a_daemon_that_does_not_start_is_a_failure(check: Check, tmp_path: Path) -> None:
    _pretend_mps(check, tmp_path)
    check.environment["MPS_BROKEN"] = "1"
    assert check.run(("under", 1, 30, True))[0] == 1
    assert f"{mps.PROGRAM} -d: exit code 1 no such device" in check.lines()["under"][-1]


def test_without_the_program_the_step_is_skipped(check: Check, tmp_path: Path) -> None:
    check.environment["PATH"] = str(tmp_path)
    assert check.run(("under", 1, 30, True), ("well",))[0] == 0
    assert check.statuses() == {"under": "skipped", "well": "done"}
    assert f"{mps.PROGRAM} is not there" in check.lines()["under"][-1]


def _pretend_mps(check: Check, folder: Path) -> Path:
    program = folder / "bin" / mps.PROGRAM
    program.parent.mkdir()
    program.write_text(MPS)
    program.chmod(0o755)
    check.environment["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    check.environment["MPS_CALLS"] = str(folder / "mps_calls")
    return folder / "mps_calls"


def test_the_steps_fit_into_the_budget() -> None:
    defaults = 540
    assert sum(step.takes_s for step in gpu_check.STEPS) < defaults
    assert all(step.takes_s < step.limit_s < defaults for step in gpu_check.STEPS)
    assert [step.name for step in gpu_check.STEPS] == list(gpu_check_steps.STEPS)


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize(
    "name", [n for n, do in gpu_check_steps.STEPS.items() if getattr(do, "func", 0)]
)
def test_every_training_is_a_command_that_can_run(name: str, device: str, monkeypatch) -> None:
    machine = Machine(16, 1 << 40, cuda_devices=1)
    monkeypatch.setattr(gpu_check_steps, "usable_cores", lambda: machine.cores)
    monkeypatch.setattr(Machine, "detect", lambda device="auto": machine)
    arguments = gpu_check_steps.STEPS[name].args[0](
        gpu_check_steps.Context(device, 90.0, Path("out"))
    )
    words = [f"{key}={value}" for key, value in arguments.items()]
    config = compose_config([*words, "run_dir=x"])
    problems = [it for it in validate(config, machine) if it.severity == "error"]
    assert problems == []
    derived = derive(config, machine)
    assert derived.device.startswith(device)
    if device == "cuda" and name == "ppo_workers":
        plain = gpu_check_steps.STEPS["ppo_lag1"].args[0](
            gpu_check_steps.Context(device, 90.0, Path("out"))
        )
        usual = gpu_check_steps.gpu.derive_run(plain, machine).num_workers
        assert {derived.num_workers, usual} <= {14, 16} and derived.num_workers != usual


@pytest.mark.parametrize("processes", [1, 2])
def test_tests_are_counted_and_failures_named(processes: int, tmp_path: Path, monkeypatch) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_some.py").write_text(
        "import pytest\n"
        "def test_one(): pass\n"
        "def test_two(): assert 1 == 2\n"
        "@pytest.mark.skip\ndef test_three(): pass\n"
    )
    monkeypatch.setattr(pytest_run, "REPOSITORY", tmp_path)
    answer = pytest_run.run_pytest(["tests/test_some.py"], 60, processes)
    assert answer["counts"] == {"PASSED": 1, "FAILED": 1, "SKIPPED": 1} and answer["failed"]
    assert answer["not_passed"] == ["tests/test_some.py::test_two"]
    (tests / "test_lost.py").write_text("import no_such_module\n")
    answer = pytest_run.run_pytest(["tests"], 60, processes)
    assert answer["failed"] and "tests/test_lost.py" in answer["line"]


def test_tests_over_the_limit_are_counted_so_far(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_slow.py").write_text(
        "import time\ndef test_one(): pass\ndef test_two(): time.sleep(100)\n"
    )
    monkeypatch.setattr(pytest_run, "REPOSITORY", tmp_path)
    answer = pytest_run.run_pytest(["tests"], 8)
    assert answer["failed"] and answer["line"] == "1 passed within 8 s, the rest not at all"


def test_packages_on_the_path_reach_this_interpreter_alone(monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/tmp/site")
    ours = contender._environment(sys.executable)["PYTHONPATH"].split(os.pathsep)
    assert ours == [str(ROOT), "/tmp/site"]
    assert contender._environment("/other/python")["PYTHONPATH"] == str(ROOT)


def test_a_copy_without_git_tells_the_id_that_was_prepared(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in ("launch", "accel", "configs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    script = copy / "launch" / "gpu_check.sh"
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (["init", "-q"], ["add", "launch"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], cwd=copy, check=True)
    words = ["git", "rev-parse", "HEAD"]
    head = subprocess.run(words, cwd=copy, capture_output=True, text=True, check=True).stdout
    subprocess.run([script, "--prepare"], check=True, stdout=subprocess.DEVNULL)
    assert (copy / ".code_id").read_text() == head
    shutil.rmtree(copy / ".git")
    where = {"GIT_CEILING_DIRECTORIES": str(tmp_path), "PYTHONPATH": ""}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [script, "--device", "cpu", "--only", "machine", "--output", "out"],
        env={**os.environ, **where, "PATH": path}, cwd=tmp_path, capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"code {head[:12]} (.code_id)" in (tmp_path / "out" / "summary.txt").read_text()
    assert "machine      done" in done.stdout and "torch 2." in done.stdout


@pytest.mark.slow
def test_a_rehearsal(tmp_path: Path) -> None:
    """All steps on a CPU, as on the day."""
    done = subprocess.run(
        [ROOT / "launch" / "gpu_check.sh", "--device", "cpu", "--output", tmp_path, "--budget=900"],
        env={**os.environ, **WITHOUT_GIT, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=1000,
        check=False,
    )
    print(done.stdout)
    steps = json.loads((tmp_path / "results.json").read_text())["steps"]
    assert {name: step["status"] for name, step in steps.items()} == {
        name: "skipped" if name == "ppo_mps" and mps.why_not() else "done"
        for name in gpu_check_steps.STEPS
    }
    assert done.returncode == 0
    assert steps["score"]["values"]["reached"] and (tmp_path / "score.png").exists()
    trained = [step["values"] for step in steps.values() if "percent" in step["values"]]
    assert len(trained) >= 7 and all(values["steps_per_s"] > 0 for values in trained)


def _wait_until(holds) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _is_gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
