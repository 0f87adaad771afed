"""One contender of the sampling benchmark: a process that steps Atari environments when told to.

    python stepping.py NAME GAME NUM_ENVS CORE

All contenders play the same game: random actions, frame skip 4, sticky actions 0.25, maximum of the
last two grayscale screens, 84x84 area resize, no reward clipping, no end at a lost life, no FIRE
and no no-ops after a reset.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
from serving import serve

Step = Callable[[np.ndarray], object]  # takes actions [num_envs] int64, steps every environment

ROLLOUT_LENGTH = 128
SEED = 0


def raw(game: str, num_envs: int) -> tuple[Step, int]:
    """Only the emulator: four `act` calls, and a reset as exact as ours. The upper limit.

    A saved state takes the place of `reset_game` where that leads to the very same game.
    """
    from ale_py import ALEInterface, LoggerMode, roms

    from accel.envs.atari import RESET_VARIES

    ALEInterface.setLoggerMode(LoggerMode.Error)
    emulators = []
    for index in range(num_envs):
        ale = ALEInterface()
        ale.setInt("random_seed", SEED + index)
        ale.setFloat("repeat_action_probability", 0.25)
        ale.loadROM(roms.get_rom_path(game))
        ale.reset_game()
        restart = partial(ale.restoreState, ale.cloneState())
        restart = ale.reset_game if game in RESET_VARIES else restart
        emulators.append((ale.act, ale.game_over, restart))
    moves = list(ale.getMinimalActionSet())

    def step(actions: np.ndarray) -> None:
        for (act, game_over, restart), action in zip(emulators, actions.tolist()):
            if game_over():
                restart()
            move = moves[action]
            act(move)
            act(move)
            act(move)
            act(move)

    return step, len(moves)


def ours(game: str, num_envs: int) -> tuple[Step, int]:
    """What a worker does: an `EnvBatch` writing into a time-major rollout."""
    return _worker(game, num_envs, raw_screens=False)


def screens(game: str, num_envs: int) -> tuple[Step, int]:
    """The same with env.frames=device: raw screens handed out, always in the same place."""
    return _worker(game, num_envs, raw_screens=True)


def _worker(game: str, num_envs: int, *, raw_screens: bool) -> tuple[Step, int]:
    from accel.envs.batch import EnvBatch, EnvRecipe, StepArrays

    recipe = EnvRecipe("atari", game, {"raw_screens": raw_screens})
    batch = EnvBatch(recipe, seed=SEED, num_envs=num_envs)
    spec, rows = batch.spec, ROLLOUT_LENGTH
    if raw_screens:
        screens = np.zeros((num_envs, *spec.screen_shape), np.uint8)
        frames = [[tuple(pair) for pair in screens]] * (rows + spec.frame_stack)
    else:
        rollout = np.zeros((rows + spec.frame_stack, num_envs, *spec.frame_shape), spec.frame_dtype)
        frames = [list(row) for row in rollout]
    age = np.zeros((rows + 1, num_envs), np.int32)
    rewards = np.zeros((rows, num_envs), np.float32)
    flags = np.zeros((4, rows, num_envs), bool)
    outputs = [
        StepArrays(frames[t + spec.frame_stack], age[t + 1], rewards[t], *flags[:, t])
        for t in range(rows)
    ]
    batch.reset(frames[spec.frame_stack - 1], age[0])
    row = -1

    def step(actions: np.ndarray) -> None:
        nonlocal row
        row = (row + 1) % rows
        batch.step(actions, outputs[row])

    return step, spec.num_actions


def envpool(game: str, num_envs: int) -> tuple[Step, int]:
    """EnvPool's Atari on one thread; it has no start without a no-op, so one is taken."""
    import envpool

    env = envpool.make(
        "".join(word.title() for word in game.split("_")) + "-v5",
        env_type="gymnasium",
        num_envs=num_envs,
        batch_size=num_envs,
        num_threads=1,
        seed=SEED,
        frame_skip=4,
        stack_num=4,
        gray_scale=True,
        img_height=84,
        img_width=84,
        use_inter_area_resize=True,
        repeat_action_probability=0.25,
        noop_max=1,
        use_fire_reset=False,
        episodic_life=False,
        zero_discount_on_life_loss=False,
        reward_clip=False,
        full_action_space=False,
        max_episode_steps=27_000,
    )
    env.reset()
    return env.step, env.action_space.n


def ale_vector(game: str, num_envs: int) -> tuple[Step, int]:
    """ale_py's own vector environment in C++, on one thread."""
    from ale_py.vector_env import AtariVectorEnv

    env = AtariVectorEnv(
        game,
        num_envs=num_envs,
        batch_size=num_envs,
        num_threads=1,
        max_num_frames_per_episode=108_000,
        repeat_action_probability=0.25,
        full_action_space=False,
        img_height=84,
        img_width=84,
        grayscale=True,
        stack_num=4,
        frameskip=4,
        maxpool=True,
        noop_max=0,
        episodic_life=False,
        life_loss_info=False,
        reward_clipping=False,
        use_fire_reset=False,
    )
    env.reset(seed=SEED)
    return env.step, env.single_action_space.n


CONTENDERS = {
    "raw": raw,
    "ours": ours,
    "screens": screens,
    "envpool": envpool,
    "ale_vector": ale_vector,
}


def main() -> None:
    """Build the contender named on the command line and serve timed rounds."""
    name, game, num_envs, core = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if hasattr(os, "sched_setaffinity"):  # before any library starts threads
        os.sched_setaffinity(0, {core})
    serve(lambda: _play_randomly(*CONTENDERS[name](game, num_envs), num_envs))


def _play_randomly(step: Step, num_actions: int, num_envs: int) -> Callable[[], int]:
    """One call steps every environment once with random actions, drawn beforehand."""
    draws = np.random.default_rng(SEED).integers(num_actions, size=(4096, num_envs))
    actions = itertools.cycle(draws)

    def advance() -> int:
        step(next(actions))
        return num_envs

    return advance


if __name__ == "__main__":
    main()
