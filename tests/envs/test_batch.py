"""EnvBatch: who is seeded how, what is counted, the reset step, random starts, exact resume."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from accel.envs.batch import EnvBatch, EnvRecipe, StepArrays, env_seed

GO_ON, TERMINATE, TRUNCATE = range(3)
BREAKOUT = EnvRecipe("atari", "breakout", {"max_frames_per_episode": 120})
CARTPOLE = EnvRecipe("gym", "CartPole-v1", {"frame_stack": 1})


class Tenths(gymnasium.Env):
    """Ends as its action says; frames are (episode, step t of it) and rewards t / 10."""

    def __init__(self, num_actions: int = 3) -> None:
        self.observation_space = Box(0, 1e6, (2,), np.float32)
        self.action_space = Discrete(num_actions)
        self.episode = self.t = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.t = self.episode + 1, 0
        return np.array([self.episode, 0], np.float32), {}

    def step(self, action):
        self.t += 1
        frame = np.array([self.episode, self.t], np.float32)
        return frame, self.t / 10, action == TERMINATE, action == TRUNCATE, {}


@pytest.fixture
def tenths(monkeypatch: pytest.MonkeyPatch):
    """Makes recipes of Tenths."""
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))

    def recipe(**kwargs: object) -> EnvRecipe:
        gymnasium.register("accel/Tenths-v0", entry_point=Tenths, kwargs=kwargs)
        return EnvRecipe("gym", "accel/Tenths-v0", {"frame_stack": 1})

    return recipe


def arrays(batch: EnvBatch) -> StepArrays:
    """Arrays that hold what no step should leave there."""
    num_envs, spec = len(batch.episodic_return), batch.spec
    return StepArrays(
        frames=np.full((num_envs, *spec.frame_shape), 77, spec.frame_dtype),
        age=np.full(num_envs, -1, np.int32),
        rewards=np.full(num_envs, np.nan, np.float32),
        terminated=np.ones(num_envs, bool),
        truncated=np.ones(num_envs, bool),
        life_lost=np.ones(num_envs, bool),
        valid=np.zeros(num_envs, bool),
    )


def start(batch: EnvBatch) -> StepArrays:
    out = arrays(batch)
    batch.reset(out.frames, out.age)
    return out


def play(batch: EnvBatch, actions: np.ndarray) -> dict[str, np.ndarray]:
    """What every step of `actions` [T, B] gave, each [T, B, ...]."""
    seen = []
    for row in actions:
        batch.step(row, out := arrays(batch))
        counted = ("episodic_return", "episodic_length")
        seen.append(vars(out) | {name: getattr(batch, name).copy() for name in counted})
    return {name: np.stack([step[name] for step in seen]) for name in seen[0]}


def random_actions(batch: EnvBatch, steps: int, seed: int = 0) -> np.ndarray:
    size = (steps, len(batch.episodic_return))
    return np.random.default_rng(seed).integers(batch.spec.num_actions, size=size)


def assert_equal(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.mark.parametrize("recipe", [BREAKOUT, CARTPOLE], ids=["breakout", "cartpole"])
def test_an_environment_plays_alike_in_every_batch(recipe: EnvRecipe) -> None:
    """Environment 2 of a run, its random start included, whichever worker has it."""
    settings = {"seed": 5, "decorrelation_steps": 9}
    whole = EnvBatch(recipe, num_envs=4, **settings)
    parts = [EnvBatch(recipe, num_envs=2, first_index=i, **settings) for i in (0, 2)]
    first = start(whole)
    np.testing.assert_array_equal(
        first.frames, np.concatenate([start(part).frames for part in parts])
    )
    actions = random_actions(whole, 50)
    seen = play(whole, actions)
    for i, part in zip((0, 2), parts):
        mine = {name: values[:, i : i + 2] for name, values in seen.items()}
        assert_equal(play(part, actions[:, i : i + 2]), mine)
    assert not np.array_equal(seen["frames"][:, 2], seen["frames"][:, 3])


def test_seeds_are_31_bit_and_differ() -> None:
    seeds = [env_seed(run, index) for run in range(20) for index in range(100)]
    assert len(set(seeds)) == 2000
    assert 2**30 < max(seeds) < 2**31 and min(seeds) >= 0


def test_returns_keep_double_precision(tenths) -> None:
    batch = EnvBatch(tenths(), seed=0, num_envs=2)
    start(batch)
    seen = play(batch, np.zeros((100, 2), int))
    total, rounded = 0.0, np.float64(0)
    for t in range(1, 101):
        total += t / 10
        rounded += np.float32(t / 10)
        assert seen["rewards"][t - 1].tolist() == [np.float32(t / 10)] * 2
        assert seen["episodic_return"][t - 1].tolist() == [total] * 2
    assert total != rounded  # what adding up the stored rewards would give


def test_the_step_after_an_end_is_a_reset(tenths) -> None:
    """Its action is ignored, its reward 0; until then the game's totals stay to be read."""
    batch = EnvBatch(tenths(), seed=0, num_envs=3)
    first = start(batch)
    assert first.frames.tolist() == [[1, 0]] * 3 and first.age.tolist() == [0] * 3
    # One is never stopped, one terminated and one truncated; what stops a game is then ignored.
    seen = play(
        batch,
        np.array(
            [
                [GO_ON, GO_ON, TRUNCATE],
                [GO_ON, TERMINATE, TRUNCATE],
                [GO_ON, TERMINATE, GO_ON],
                [GO_ON, TERMINATE, GO_ON],
            ]
        ),
    )
    assert seen["valid"].T.tolist() == [[1, 1, 1, 1], [1, 1, 0, 1], [1, 0, 1, 1]]
    assert seen["terminated"].T.tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]]
    assert seen["truncated"].T.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert seen["age"].T.tolist() == [[1, 2, 3, 4], [1, 2, 0, 1], [1, 0, 1, 2]]
    assert seen["episodic_length"].T.tolist() == seen["age"].T.tolist()
    np.testing.assert_array_equal(
        seen["rewards"].T * 10, [[1, 2, 3, 4], [1, 2, 0, 1], [1, 0, 1, 2]]
    )
    np.testing.assert_allclose(
        seen["episodic_return"].T, [[0.1, 0.3, 0.6, 1.0], [0.1, 0.3, 0, 0.1], [0.1, 0, 0.1, 0.3]]
    )
    assert seen["frames"][:, 1].tolist() == [[1, 1], [1, 2], [2, 0], [2, 1]]
    assert not seen["life_lost"].any()


def test_counts_in_the_arrays_it_is_given(tenths) -> None:
    returns, lengths = np.full(3, 9.0), np.full(3, 9)
    batch = EnvBatch(
        tenths(), seed=0, num_envs=2, episodic_return=returns[1:], episodic_length=lengths[1:]
    )
    start(batch)
    assert (returns.tolist(), lengths.tolist()) == ([9, 0, 0], [9, 0, 0])
    play(batch, np.zeros((2, 2), int))
    assert (returns.tolist(), lengths.tolist()) == ([9, 0.1 + 0.2, 0.1 + 0.2], [9, 2, 2])


def test_random_starts_are_between_none_and_all_steps_long(tenths) -> None:
    batch = EnvBatch(tenths(num_actions=1), seed=0, num_envs=64, decorrelation_steps=3)
    first = start(batch)
    lengths = batch.episodic_length
    assert set(lengths.tolist()) == {0, 1, 2, 3}
    assert first.frames[:, 1].tolist() == lengths.tolist()  # the newest frame
    assert (first.age == 0).all()  # but the stack starts there
    np.testing.assert_allclose(batch.episodic_return, lengths * (lengths + 1) / 20)
    seen = play(batch, np.zeros((1, 64), int))  # the whole game's count goes on
    assert seen["valid"].all() and (seen["age"] == 1).all()
    assert seen["frames"][0, :, 1].tolist() == batch.episodic_length.tolist()


def test_a_game_that_ends_in_its_random_start_begins_again(tenths) -> None:
    batch = EnvBatch(tenths(), seed=0, num_envs=64, decorrelation_steps=20)
    first = start(batch)
    episodes, steps = first.frames.T
    assert (episodes > 1).sum() > 32
    assert batch.episodic_length.tolist() == steps.tolist()
    assert play(batch, np.zeros((1, 64), int))["valid"].all()


def test_random_starts_make_games_differ() -> None:
    frames = []
    for steps in (0, 30):
        batch = EnvBatch(BREAKOUT, seed=0, num_envs=4, decorrelation_steps=steps)
        frames.append({frame.tobytes() for frame in start(batch).frames})
        assert batch.episodic_length.max() <= steps
    assert len(frames[0]) == 1 and len(frames[1]) > 2


@pytest.mark.parametrize("recipe", [BREAKOUT, CARTPOLE], ids=["breakout", "cartpole"])
def test_a_saved_batch_goes_on_unchanged(recipe: EnvRecipe) -> None:
    """Saved in the middle of games and where one has just ended."""
    batch = EnvBatch(recipe, seed=1, num_envs=3, decorrelation_steps=20)
    start(batch)
    actions, saved, parts = random_actions(batch, 100), [], []
    for t in range(0, 100, 5):
        saved.append(batch.state_dict())
        parts.append(play(batch, actions[t : t + 5]))
    assert any(env["needs_reset"] for state in saved for env in state)
    assert any(0 < env["age"] < env["episodic_length"] for env in saved[1])  # in mid-game
    for t, state in enumerate(saved):
        if t == 1 or any(env["needs_reset"] for env in state):
            other = EnvBatch(recipe, seed=99, num_envs=3)
            start(other)
            play(other, actions[:7])
            other.load_state_dict(state)
            for k in range(t, len(parts)):
                assert_equal(play(other, actions[5 * k : 5 * k + 5]), parts[k])


def test_a_state_of_another_size_is_refused() -> None:
    state = EnvBatch(CARTPOLE, seed=0, num_envs=2).state_dict()
    with pytest.raises(ValueError):
        EnvBatch(CARTPOLE, seed=0, num_envs=3).load_state_dict(state)
