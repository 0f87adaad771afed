"""make_vector: a Gymnasium VectorEnv with the games, stacks and statistics of Gymnasium's own."""

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import register_envs
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import accel.envs
from accel.envs.batch import env_seed


@pytest.fixture
def vector():
    """Builds vectors and closes them after the test."""
    built = []

    def make(game: str = "breakout", num_envs: int = 4, **settings: object) -> VectorEnv:
        built.append(accel.envs.make_vector(game, num_envs, **settings))
        return built[-1]

    yield make
    for env in built:
        env.close()


def gymnasium_vector(game: str, num_envs: int, seed: int) -> SyncVectorEnv:
    """Gymnasium's own wrappers, each emulator seeded as ours is."""
    import ale_py

    register_envs(ale_py)

    def make(index: int):
        def build() -> gymnasium.Env:
            env = gymnasium.make(f"ALE/{game}-v5", frameskip=1, repeat_action_probability=0.25)
            ale = env.unwrapped.ale
            ale.setInt("random_seed", env_seed(seed, index))
            env.unwrapped.load_game()
            env = AtariPreprocessing(env, noop_max=0, frame_skip=4, screen_size=84)
            return FrameStackObservation(env, 4, padding_type="reset")

        return build

    return SyncVectorEnv([make(i) for i in range(num_envs)], autoreset_mode=AutoresetMode.NEXT_STEP)


def test_games_equal_gymnasiums_own_vector(vector) -> None:
    ours, theirs = vector("Breakout", 3, seed=7), gymnasium_vector("Breakout", 3, seed=7)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    rng, episodes = np.random.default_rng(0), 0
    np.testing.assert_array_equal(ours.reset()[0], theirs.reset()[0])
    for _ in range(500):
        actions = rng.integers(0, 4, 3)
        a, b = ours.step(actions), theirs.step(actions)
        for name, left, right in zip(("reward", "terminated", "truncated"), a[1:4], b[1:4]):
            np.testing.assert_array_equal(left, right, err_msg=name)
        ended = a[2] | a[3]
        # AtariPreprocessing leaves the last step's screens in a final frame (see envs/atari.py).
        np.testing.assert_array_equal(a[0][~ended], b[0][~ended])
        assert a[0].dtype == b[0].dtype
        episodes += ended.sum()
    assert episodes >= 3
    theirs.close()


def test_spaces_dtypes_and_autoreset(vector) -> None:
    env = vector("CartPole-v1", 4, seed=3)
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    observations, infos = env.reset(seed=3)
    assert observations in env.observation_space and infos == {}
    ended = np.zeros(4, bool)
    for _ in range(200):
        observations, rewards, terminated, truncated, infos = env.step(env.action_space.sample())
        assert observations in env.observation_space
        assert rewards.shape == terminated.shape == truncated.shape == (4,)
        assert (rewards[ended] == 0).all()  # the step after an end is a reset
        assert not (terminated | truncated)[ended].any()
        ended = terminated | truncated
        assert ("_episode" in infos) == bool(ended.any())


def test_episode_statistics_equal_gymnasiums_wrapper(vector) -> None:
    ours = vector("CartPole-v1", 4, seed=1)
    wrapped = RecordEpisodeStatistics(vector("CartPole-v1", 4, seed=1), stats_key="recorded")
    ours.reset(seed=5)
    wrapped.reset(seed=5)
    rng, games = np.random.default_rng(1), 0
    for _ in range(200):
        actions = rng.integers(0, 2, 4)
        infos, theirs = ours.step(actions)[4], wrapped.step(actions)[4]
        if "episode" in infos:
            np.testing.assert_array_equal(infos["episode"]["r"], theirs["recorded"]["r"])
            np.testing.assert_array_equal(infos["episode"]["l"], theirs["recorded"]["l"])
            games += infos["_episode"].sum()
    assert games > 10


def test_reseeding_repeats_and_workers_do_not_matter(vector) -> None:
    runs = []
    for num_workers in (1, 2):
        env = vector("pong", 4, num_workers=num_workers, seed=0)
        for _ in range(2):
            frames = [env.reset(seed=11)[0]]
            frames += [env.step(np.full(4, t % 6))[0] for t in range(40)]
            runs.append(np.stack(frames))
    assert all(np.array_equal(run, runs[0]) for run in runs[1:])
    assert not np.array_equal(runs[0][:, 0], runs[0][:, 1])


def test_one_buffer_without_copies(vector) -> None:
    env = vector("pong", 2, copy=False)
    assert env.reset()[0] is not None
    first = env.step(np.zeros(2, int))[0]
    assert np.shares_memory(first, env.step(np.zeros(2, int))[0])


def test_unknown_names_and_idle_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="pong"):
        accel.envs.make_vector("pongg")
    with pytest.raises(ValueError, match="2 environments do not go round 3 workers"):
        accel.envs.make_vector("pong", 2, num_workers=3)


def test_closing_twice_is_harmless(vector) -> None:
    env = vector("CartPole-v1", 2)
    env.close()
    env.close()
