"""One training run of stable-baselines3, timed; prints {"agent_steps", "wall_s"} as JSON.

    python sb3_training.py ALGORITHM VEC_ENV ENV_ID DEVICE NUM_THREADS WARM_UP_S SECONDS

PPO at 8 environments x 128 steps, 4 epochs of 4 minibatches; A2C at 16 environments x 5 steps; DQN
at 8 environments, 8 updates of 32 samples after each 4 steps of them; all with Nature CNN and the
library's own Atari wrappers.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from time import perf_counter


def main() -> None:
    """Train until the measured time is over."""
    try:
        import ale_py  # noqa: F401
        import stable_baselines3  # noqa: F401
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    algorithm, vec_env, env_id, device, num_threads, warm_up_s, seconds = sys.argv[1:]
    marks = train(
        algorithm, vec_env, env_id, device, int(num_threads), float(warm_up_s), float(seconds)
    )
    (start, first_step), (end, last_step) = marks
    versions = {name: metadata.version(name) for name in ("stable-baselines3", "torch", "ale-py")}
    result = {"agent_steps": last_step - first_step, "wall_s": end - start, "versions": versions}
    print(json.dumps(result))


def train(
    algorithm: str,
    vec_env: str,
    env_id: str,
    device: str,
    num_threads: int,
    warm_up_s: float,
    seconds: float,
) -> list[tuple[float, int]]:
    """Train and return the (time, agent steps) at which the measured part began and ended.

    Both are taken where an update has just ended, so the part holds whole rollouts and updates.
    """
    import torch
    from stable_baselines3 import A2C, DQN, PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack

    torch.set_num_threads(num_threads)
    num_envs, hyperparameters = {
        "ppo": (
            8,
            dict(
                n_steps=128,
                n_epochs=4,
                batch_size=256,
                learning_rate=2.5e-4,
                clip_range=0.1,
                ent_coef=0.01,
            ),
        ),
        "a2c": (16, dict(n_steps=5, ent_coef=0.01)),
        "dqn": (
            8,
            dict(
                buffer_size=100_000,
                learning_starts=1000,
                batch_size=32,
                train_freq=4,
                gradient_steps=8,
                target_update_interval=10_000,
            ),
        ),
    }[algorithm]
    vec_env_class = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}[vec_env]
    env = make_atari_env(env_id, n_envs=num_envs, seed=0, vec_env_cls=vec_env_class)
    model = {"ppo": PPO, "a2c": A2C, "dqn": DQN}[algorithm](
        "CnnPolicy", VecFrameStack(env, 4), device=device, **hyperparameters
    )

    class Clock(BaseCallback):
        """Marks the updates' ends and stops the run."""

        def __init__(self) -> None:
            super().__init__()
            self.marks: list[tuple[float, int]] = []
            self.first = perf_counter()

        def _on_rollout_start(self) -> None:
            now = perf_counter()
            start = self.marks[0][0] if self.marks else now
            if (not self.marks and now - self.first >= warm_up_s) or now - start >= seconds:
                self.marks.append((now, self.num_timesteps))

        def _on_step(self) -> bool:
            return len(self.marks) < 2

    clock = Clock()
    model.learn(sys.maxsize, callback=clock)
    env.close()
    return clock.marks[:2]


if __name__ == "__main__":
    main()
