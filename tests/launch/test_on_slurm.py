"""The job scripts on a cluster: what SLURM takes, and what follows when it wants a node back."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path

import pytest

from accel.runs.reading import find_checkpoint, read_manifest
from tests.launch.mini_slurm import MiniSlurm
from tests.run_commands import GAMES, ROOT

pytestmark = pytest.mark.slurm

# The job's program finds this checkout and the games of the other tests, and leaves git alone.
TRAINING = {
    "PYTHONPATH": f"{ROOT}{os.pathsep}{GAMES}",
    "GIT_CEILING_DIRECTORIES": str(ROOT),
}
# A slow little game on the CPU, which SLURM's imitated GPUs leave us; some seconds.
TINY = (
    *("device=cpu", "precision=fp32", "hardware.learner_threads=1", "hardware.actor_threads=1"),
    *("env=gym", "model=mlp", "model.hidden_size=8", "sampler=serial", "sampler.num_envs=4"),
    *("algo.rollout_length=8", "algo.num_minibatches=1", "algo.num_epochs=1"),
    "log_interval_s=0.001",
)
SLOW_GAME = "faulty_games:Game-none-v0"
TWO_NODES = ("--ntasks-per-node=2", "--gpus-per-node=2", "--cpus-per-task=1", "several_nodes")


def steps(run: Path) -> list[int]:
    path = run / "metrics.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [int(row["agent_steps"]) for row in csv.DictReader(file)]


def statuses(run: Path) -> list[str]:
    return [attempt["status"] for attempt in read_manifest(run).data["attempts"]]


def assert_finished_in_order(run: Path, total: int) -> None:
    assert steps(run) == sorted(set(steps(run))) and steps(run)[-1] == total
    assert read_manifest(run).data["status"] == "finished"


def notes(checkout: Path, name: str = "*") -> dict[str, dict]:
    """What the stand-in for the program told, by start, attempt and rank."""
    folder = checkout / "notes"
    found = sorted(folder.glob(f"{name}.json"))
    return {
        str(path.relative_to(folder).with_suffix("")): json.loads(path.read_text())
        for path in found
    }


@pytest.mark.parametrize("script", ["one_node", "several_nodes", "sweep", "array"])
def test_two_nodes_of_8_gpus_take_each_script(script: str, slurm: MiniSlurm) -> None:
    answer = slurm.submit(ROOT, "--test-only", script, "experiment=pong")
    processors = {"several_nodes": 224, "array": 14}.get(script, 112)
    assert f"using {processors} processors on nodes n" in answer


@pytest.mark.parametrize(
    "options", ["--nodes=3 several_nodes", "--gpus-per-node=9 one_node", "--constraint=x sweep"]
)
def test_they_refuse_what_they_cannot_give(options: str, slurm: MiniSlurm) -> None:
    with pytest.raises(AssertionError, match=r"not available|Invalid feature"):
        slurm.submit(ROOT, "--test-only", *options.split())


def test_told_to_make_room_a_run_is_saved_queued_and_continued(
    slurm: MiniSlurm, tmp_path: Path
) -> None:
    run, total = tmp_path / "run", 480
    words = (*TINY, f"env.game={SLOW_GAME}", f"total_agent_steps={total}", f"run_dir={run}")
    job = slurm.submit(ROOT, "one_node", *words, **TRAINING)
    slurm.wait_until(lambda: len(steps(run)) > 3)
    slurm.notify(job)
    slurm.wait_for("PENDING", job)
    saved = find_checkpoint(run, "last")[1]
    assert statuses(run) == ["interrupted"] and steps(run)[-1] == saved < total

    slurm.wait_for("COMPLETED", job)
    print(slurm.log(job))
    assert "restarted 1 times" in slurm.log(job)
    assert f"continuing from {saved:,} agent steps" in slurm.log(job)
    assert "Restarts=1" in slurm.command("scontrol", "show", "job", job)
    assert statuses(run) == ["interrupted", "finished"]
    assert_finished_in_order(run, total)


def test_ranks_go_on_from_the_checkpoint_after_one_is_killed(
    slurm: MiniSlurm, tmp_path: Path
) -> None:
    run, total = tmp_path / "run", 480
    rank_per_node = ("--ntasks-per-node=1", "--gpus-per-node=1", "--cpus-per-task=1")
    words = (*TINY, f"env.game={SLOW_GAME}", f"total_agent_steps={total}", f"run_dir={run}")
    words += ("checkpoint_interval_s=0.01",)
    job = slurm.submit(ROOT, *rank_per_node, "several_nodes", *words, **TRAINING)
    slurm.wait_until(lambda: len(steps(run)) > 3)
    os.kill(process_of(run, rank=1), signal.SIGKILL)
    slurm.wait_for("COMPLETED", job)
    print(slurm.log(job))
    assert "attempt 1 of 3 ended with exit code" in slurm.log(job)
    assert "2 learners" in slurm.log(job) and "continuing from" in slurm.log(job)
    assert statuses(run)[1:] == ["finished"]
    assert_finished_in_order(run, total)


def process_of(run: Path, rank: int) -> int:
    """The process that trains into this folder as this rank."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        words = entry.read_bytes().decode(errors="replace").split("\0")
        if words[1:2] == ["launch/train.py"] and f"run_dir={run}" in words:
            environment = entry.with_name("environ").read_bytes().split(b"\0")
            if f"RANK={rank}".encode() in environment:
                return int(entry.parent.name)
    raise AssertionError("no such process")


def test_ranks_on_two_nodes_survive_a_lost_one_and_a_notice(
    slurm: MiniSlurm, stand_in: Path
) -> None:
    job = slurm.submit(stand_in, *TWO_NODES, "do=lose")
    slurm.wait_until(lambda: len(notes(stand_in, "start0-attempt1-*")) == 4)
    slurm.notify(job)
    slurm.wait_for("COMPLETED", job)
    told = notes(stand_in)
    assert len(told) == 3 * 4
    for start in ("start0-attempt0", "start0-attempt1", "start1-attempt0"):
        ranks = [told[f"{start}-rank{rank}"] for rank in range(4)]
        assert [rank["RANK"] for rank in ranks] == ["0", "1", "2", "3"]
        assert [rank["LOCAL_RANK"] for rank in ranks] == ["0", "1", "0", "1"]
        assert [rank["SLURMD_NODENAME"] for rank in ranks] == ["n1", "n1", "n2", "n2"]
        assert {rank["WORLD_SIZE"] for rank in ranks} == {"4"}
        assert {rank["MASTER_ADDR"] for rank in ranks} == {"n1"}
        assert {rank["CUDA_VISIBLE_DEVICES"] for rank in ranks} == {"0,1"}
        assert {rank["SLURM_CPUS_PER_TASK"] for rank in ranks} == {"1"}
        sharing = "2" if len(os.sched_getaffinity(0)) > 1 else None  # nothing binds them here
        assert {rank["LOCAL_WORLD_SIZE"] for rank in ranks} == {sharing}
    ports = {told[f"start0-attempt{attempt}-rank0"]["MASTER_PORT"] for attempt in (0, 1)}
    assert len(ports) == 2
    stopped = [told[f"start0-attempt1-rank{rank}"]["signals"] for rank in range(4)]
    assert stopped == [["SIGTERM"]] * 4  # a second one would have stopped a run before it saved


def test_preempted_jobs_come_back(slurm: MiniSlurm, stand_in: Path) -> None:
    # From this partition srun's tasks get notice at the start of a time of grace ...
    two_ranks = ("--partition=main", "--nodes=1", *TWO_NODES)
    jobs = [slurm.submit(stand_in, *two_ranks, "do=wait", NOTES="notes/warned")]
    # ... and from this one jobs are canceled.
    jobs += [slurm.submit(stand_in, "--partition=cheap", "one_node", "do=wait", NOTES="notes/cut")]
    slurm.wait_until(lambda: len(notes(stand_in, "*/*")) == 3)
    urgent = "--parsable --partition=urgent --nodes=2 --exclusive --output=/dev/null --wrap=true"
    slurm.wait_for("COMPLETED", slurm.command("sbatch", *urgent.split()).strip())
    slurm.wait_until(lambda: [slurm.state(job) for job in jobs] == ["COMPLETED", "COMPLETED"])
    signals = {name: told["signals"] for name, told in notes(stand_in, "*/*").items()}
    assert signals == {
        "cut/start0-attempt0-rank0": ["SIGTERM"],
        "cut/start1-attempt0-rank0": [],
        "warned/start0-attempt0-rank0": ["SIGTERM"],
        "warned/start0-attempt0-rank1": ["SIGTERM"],
        "warned/start1-attempt0-rank0": [],
        "warned/start1-attempt0-rank1": [],
    }


def test_a_canceled_job_stays_away(slurm: MiniSlurm, stand_in: Path) -> None:
    job = slurm.submit(stand_in, "one_node", "do=wait")
    slurm.wait_until(lambda: notes(stand_in))
    slurm.command("scancel", job)
    slurm.wait_until(lambda: "SLURM ends this job" in slurm.log(job))
    slurm.wait_for("CANCELLED", job)
    slurm.wait_until(lambda: notes(stand_in)["start0-attempt0-rank0"]["signals"] == ["SIGTERM"])
    assert "back into the queue" not in slurm.log(job)


def test_a_mistake_is_not_tried_again(slurm: MiniSlurm, tmp_path: Path) -> None:
    job = slurm.submit(ROOT, "one_node", "env.game=pongg", "device=cpu", **TRAINING)
    slurm.wait_until(lambda: slurm.state(job) == "FAILED")
    assert "did you mean pong?" in slurm.log(job)
    assert "attempt" not in slurm.log(job)


def test_an_array_plays_each_game_with_each_seed(slurm: MiniSlurm) -> None:
    games = {"GAMES": "breakout pong", "SEEDS": "7 8"}
    # Shows the config that a run would have, which is quick, in place of the run.
    words = ("--array=0,3,4", "array", "algo=a2c", "--cfg", "job")
    job = slurm.submit(ROOT, *words, **TRAINING, **games)
    slurm.wait_until(lambda: slurm.state(f"{job}_4") == "FAILED")
    assert "2 games x 2 seeds need --array=0-3" in slurm.log(f"{job}_4")
    for index, game, seed in ((0, "breakout", 7), (3, "pong", 8)):
        slurm.wait_for("COMPLETED", f"{job}_{index}")
        config = slurm.log(f"{job}_{index}")
        assert f"  game: {game}\n" in config and f"\nseed: {seed}\n" in config
        assert "  name: a2c\n" in config


def test_one_run_of_an_array_makes_room_alone(slurm: MiniSlurm, stand_in: Path) -> None:
    games = {"GAMES": "pong breakout", "SEEDS": "0 1"}
    job = slurm.submit(stand_in, "--array=1-2", "array", "do=wait", **games)
    slurm.wait_until(lambda: len(notes(stand_in)) == 2)
    slurm.notify(f"{job}_2")  # to SLURM, the last one's own number is that of the whole array
    slurm.wait_until(lambda: notes(stand_in, "start1-*"))
    slurm.wait_for("COMPLETED", f"{job}_2")
    assert slurm.state(f"{job}_1") == "RUNNING"
    slurm.command("scancel", job)
    told = notes(stand_in)
    assert {name: one["argv"] for name, one in told.items()} == {
        "start0-attempt0-rank1": ["env.game=pong", "seed=1", "do=wait"],
        "start0-attempt0-rank2": ["env.game=breakout", "seed=0", "do=wait"],
        "start1-attempt0-rank2": ["env.game=breakout", "seed=0", "do=wait"],
    }


def test_a_sweep_is_handed_to_the_slots_launcher(slurm: MiniSlurm, stand_in: Path) -> None:
    job = slurm.submit(stand_in, "sweep", "do=end", "seed=0,1")
    slurm.wait_for("COMPLETED", job)
    (told,) = notes(stand_in).values()
    assert told["argv"] == ["-m", "hydra/launcher=slots", "do=end", "seed=0,1"]
    assert told["CUDA_VISIBLE_DEVICES"] == "0,1,2,3,4,5,6,7"
