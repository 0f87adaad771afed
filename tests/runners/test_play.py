"""launch/play.py: a video of one whole game, of the emulator's own screens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from catch_game import CELLS, SIZE

pytest.importorskip("imageio_ffmpeg")  # the encoder of play alone

import imageio_ffmpeg

from accel.config.commands import PlayConfig
from accel.config.errors import UserError
from accel.runners.film import Film
from accel.runners.play_run import play_run
from accel.runners.train import train
from tests.run_commands import words

PONG = words(
    "env.game=pong sampler=serial sampler.num_envs=2 algo.rollout_length=8 algo.num_minibatches=1 "
    "algo.num_epochs=1 model.hidden_size=16 total_agent_steps=16 env.max_frames_per_episode=60"
)


def read(path: Path) -> tuple[dict, np.ndarray]:
    """A video's facts and its pictures, [n, height, width, 3]."""
    reader = imageio_ffmpeg.read_frames(str(path))
    facts = next(reader)
    width, height = facts["size"]
    pictures = [np.frombuffer(data, np.uint8).reshape(height, width, 3) for data in reader]
    return facts, np.stack(pictures)


def test_a_whole_game_of_a_gymnasium_environment(start, run: Path) -> None:
    command = start("play", f"run={run}", "device=cpu")
    command.ends_with(0)
    (path,) = (run / "videos").iterdir()
    assert path.name in ("catch_game_Catch-v0_1.mp4", "catch_game_Catch-v0_-1.mp4")
    assert str(path) in command.stdout and "a whole game" in command.stdout
    facts, pictures = read(path)
    scale = 640 // SIZE
    assert facts["size"] == (SIZE * scale, SIZE * scale) and facts["fps"] == 10
    assert len(pictures) == CELLS  # the first and one for each of the 8 steps
    first = pictures[0, :, :, 0].reshape(CELLS, -1, CELLS, 4 * scale).mean((1, 3)) > 128
    assert first[0].sum() == 1 and first[-1].tolist() == [i == CELLS // 2 for i in range(CELLS)]


def test_every_emulated_frame_of_an_atari_game(make_config, tmp_path: Path) -> None:
    train(make_config(*PONG))
    path = play_run(PlayConfig(run=str(tmp_path / "run"), device="cpu", greedy=True))
    assert path == tmp_path / "run" / "videos" / "pong_0.mp4"
    facts, pictures = read(path)
    assert facts["size"] == (480, 630) and facts["fps"] == 60
    assert len(pictures) == 60
    few = tmp_path / "few" / "short.mp4"
    config = PlayConfig(run=str(tmp_path / "run"), device="cpu", max_frames=10, output=str(few))
    assert play_run(config) == few
    assert len(read(few)[1]) == 10
    assert [entry.name for entry in few.parent.iterdir()] == ["short.mp4"]


def test_what_cannot_be_filmed_is_said(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["config"]["env"]["game"] = "catch_game:Unfilmed-v0"
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"cannot be filmed.*rgb_array"):
        play_run(PlayConfig(run=str(run), device="cpu"))
    assert list((run / "videos").iterdir()) == []


def test_mistakes_exit_with_2(start, run: Path) -> None:
    command = start("play", f"run={run}", "max_frames=0", "output=game.gif")
    command.ends_with(2)
    for shown in ("2 problems", "at least 1", "output=game.mp4"):
        assert shown in command.stderr
    assert "Traceback" not in command.stderr


def test_odd_sides_are_made_even(tmp_path: Path) -> None:
    film = Film(tmp_path)
    film.pictures_per_second = 5
    for shade in (0, 255):
        film.add(np.full((351, 401, 3), shade, np.uint8))
    film.finish(tmp_path / "film.mp4")
    film.discard()
    facts, pictures = read(tmp_path / "film.mp4")
    assert facts["size"] == (402, 352) and pictures.mean((1, 2, 3)).round().tolist() == [0, 255]
