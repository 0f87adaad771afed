"""launch/plot.py: seeds of one experiment become one curve, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from accel.config.commands import PlotConfig
from accel.runners import plot_runs as plotting
from accel.runners.plot_runs import plot_runs
from accel.runs.folder import RunFolderError
from accel.runs.picture import Captions, Experiment
from tests.run_commands import ROOT

SETTINGS = {
    "env": {"kind": "atari", "game": "ALE/Pong-v5", "protocol": "modern", "frame_skip": 4},
    "algo": {"name": "ppo", "learning_rate": 0.001, "clip_range": 0.1},
    "model": {"name": "nature_cnn"},
    "sampler": {"num_envs": 8},
}


def write_run(
    folder: Path, seed: int, points: list[tuple[int, float, str]], **algo: object
) -> Path:
    run = folder / f"seed{seed}"
    run.mkdir(parents=True)
    config = {**SETTINGS, "seed": seed, "algo": {**SETTINGS["algo"], **algo}}
    manifest = {"format": 1, "status": "finished", "config": config}
    manifest["machine"] = {"cores_usable": 2, "gpus": []}
    (run / "manifest.json").write_text(json.dumps(manifest))
    lines = ["agent_steps,wall_time_s,charts/episodic_return"]
    lines += [f"{steps},{seconds},{value}" for steps, seconds, value in points]
    (run / "metrics.csv").write_text("\n".join(lines) + "\n")
    return run


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Experiment], Captions]]:
    """What reaches the picture, which is drawn as well."""
    seen = []
    save = plotting.save_picture

    def spy(path: Path, experiments: list[Experiment], captions: Captions) -> None:
        seen.append((experiments, captions))
        save(path, experiments, captions)

    monkeypatch.setattr(plotting, "save_picture", spy)
    return seen


def test_seeds_are_one_curve_and_settings_tell_curves_apart(tmp_path, drawn) -> None:
    for seed in (0, 1, 2):
        write_run(tmp_path / "a", seed, [(0, 0, ""), (100, 1, -20.0), (300, 3, 5.0 * seed)])
    write_run(tmp_path / "b", 0, [(100, 1, -20.0), (200, 2, -19.0)], learning_rate=0.01)
    output = tmp_path / "pictures" / "pong.png"
    assert plot_runs(PlotConfig(runs=[str(tmp_path / "*")], output=str(output))) == output
    assert output.read_bytes().startswith(b"\x89PNG") and output.stat().st_size > 20_000
    assert [entry.name for entry in output.parent.iterdir()] == ["pong.png"]
    ((experiments, captions),) = drawn
    assert [e.label for e in experiments] == ["learning_rate=0.001 (3 seeds)", "learning_rate=0.01"]
    assert [len(e.curves) for e in experiments] == [3, 1]
    assert captions.title == "Pong" and captions.machine == "2 CPU cores"
    assert "modern: sticky actions 0.25" in captions.subtitle
    assert captions.agent_steps == "agent steps (x 4 = frames)"


def test_what_an_algorithm_brings_along_does_not_clutter_the_legend(tmp_path, drawn) -> None:
    points = [(100, 1, -20.0), (200, 2, -19.0)]
    write_run(tmp_path / "ppo", 0, points)
    write_run(tmp_path / "a2c", 0, points, name="a2c", learning_rate=7e-4, clip_range=None)
    plot_runs(PlotConfig(runs=[str(tmp_path)], output=str(tmp_path / "x.svg")))
    assert [e.label for e in drawn[0][0]] == ["algo=a2c", "algo=ppo"]
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")


def test_one_experiment_is_called_by_its_algorithm(tmp_path, drawn) -> None:
    write_run(tmp_path, 0, [(100, 1, -20.0)])
    plot_runs(PlotConfig(runs=[str(tmp_path)], output=str(tmp_path / "x.pdf")))
    assert [e.label for e in drawn[0][0]] == ["ppo, nature_cnn"]


def test_mistakes_name_what_there_is(tmp_path) -> None:
    run = write_run(tmp_path, 0, [(100, 1, "")])
    for runs, metric, shown in (
        ([str(tmp_path / "nowhere*")], "charts/episodic_return", "leads to no run"),
        ([str(run)], "charts/returns", "it has charts/episodic_return"),
        ([str(run)], "charts/episodic_return", "no value of charts/episodic_return yet"),
    ):
        with pytest.raises(RunFolderError, match=shown):
            plot_runs(PlotConfig(runs=runs, metric=metric, output=str(tmp_path / "x.png")))


def test_the_command_needs_no_torch(start, tmp_path) -> None:
    write_run(tmp_path / "learning_rate=0.1,seed=1", 0, [(100, 1, -20.0), (200, 2, -19.0)])
    command = start("plot", "runs=learning_rate=0.1,seed=1", "output=x.png")
    command.ends_with(0)
    assert command.stdout == "x.png\n" and (tmp_path / "x.png").exists()
    start("plot", "runs=nowhere").ends_with(2)
    code = "import sys, accel.runners.plot_runs; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
