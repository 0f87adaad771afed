"""Nothing is compiled while anybody waits for a step, however cold the start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# One step may take a second; compiling takes several, on a machine of its own.
PLAY = """
import sys
from accel.envs import make_vector

if __name__ == "__main__":
    env = make_vector("breakout", 2, num_workers=int(sys.argv[1]), timeout_s=1.0)
    env.reset()
    env.step([0, 1])
    env.close()
"""
PLAY_SERIALLY = """
import numpy as np
from accel.envs import frame_kernel
from accel.envs.batch import EnvRecipe
from accel.sampling.layout import rollout_fields
from accel.sampling.stepping import RESET, SerialStepper, probe_spec

kernel, recipe = frame_kernel._write_frame, EnvRecipe("atari", "breakout")
fields = rollout_fields(probe_spec(recipe), 1, 2, slots=1)
assert not kernel.signatures, "asking for shapes has compiled"
arrays = {field.name: np.zeros(field.shape, field.dtype) for field in fields}
stepper = SerialStepper(recipe, arrays, [slice(0, 2)], seed=0)
assert len(kernel.signatures) == 1
stepper.release(0, 0, RESET)
stepper.release(0, 0, 0)
assert len(kernel.signatures) == 1, "a step calls it with other types than were prepared"
"""
PLAY_WITHOUT_SCREENS = """
import sys
import accel.runners.train
from accel.envs import make_vector

env = make_vector("numba_game:Numba-v0", 2, num_workers=2)
env.reset()
rewards = env.step([0, 0])[1].tolist()
env.close()
assert rewards == [0.0, 0.0], "a worker has numba"
assert "numba" not in sys.modules
"""
NUMBA_GAME = """
import sys
import gymnasium

class Numba(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), float("numba" in sys.modules), False, False, {}

gymnasium.register("Numba-v0", entry_point=Numba)
"""


def run(script: str, *arguments: str, code: Path = ROOT, **environment: str) -> str:
    """What numba's cache says of a process and its workers."""
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        check=False,
        env={**os.environ, "NUMBA_DEBUG_CACHE": "1", "PYTHONPATH": str(code), **environment},
        cwd=code,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def saved_and_loaded(told: str) -> tuple[int, int]:
    return told.count("data saved"), told.count("data loaded")


def test_it_is_compiled_once_and_before_the_first_step(tmp_path: Path) -> None:
    cache = str(tmp_path)
    assert saved_and_loaded(run(PLAY, "2", NUMBA_CACHE_DIR=cache)) == (1, 2)
    assert saved_and_loaded(run(PLAY, "2", NUMBA_CACHE_DIR=cache)) == (0, 3)
    assert saved_and_loaded(run(PLAY_SERIALLY, NUMBA_CACHE_DIR=cache)) == (0, 1)


def test_where_nothing_can_be_kept_workers_compile_before_they_are_ready(tmp_path: Path) -> None:
    """Files where numba would have folders: nobody can write there, not even root."""
    shutil.copytree(
        ROOT / "accel", tmp_path / "accel", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "accel" / "envs" / "__pycache__").touch()
    environment = {"HOME": os.devnull, "XDG_CACHE_HOME": os.devnull, "NUMBA_CACHE_DIR": os.devnull}
    told = run(PLAY, "1", code=tmp_path, PYTHONDONTWRITEBYTECODE="1", **environment)
    assert saved_and_loaded(told) == (0, 0)


def test_environments_without_screens_do_without_numba(tmp_path: Path) -> None:
    (tmp_path / "numba_game.py").write_text(NUMBA_GAME)
    run(PLAY_WITHOUT_SCREENS, PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path)]))
