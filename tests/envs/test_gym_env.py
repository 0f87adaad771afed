"""GymEnv against Gymnasium itself: same trajectories, clear refusals, exact resume."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from accel.envs.gym import GymEnv, UnknownEnvironment, UnsupportedSpace, episode_seed


class Probe(gymnasium.Env):
    """Echoes the action it was given; its spaces and its picklability are the test's choice."""

    def __init__(self, observation_space=None, action_space=None) -> None:
        self.observation_space = observation_space or Box(-1e9, 1e9, (2,), np.float64)
        self.action_space = action_space or Discrete(3, start=5)

    def _observation(self, value: float) -> np.ndarray:
        space = self.observation_space
        return np.full(space.shape, value, space.dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observation(0), {}

    def step(self, action):
        assert self.action_space.contains(action)
        return self._observation(action), np.float64(action), action == 7, np.bool_(False), {}

    def get_action_meanings(self) -> list[str]:
        return ["LEFT", "STAY", "RIGHT"]


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch):
    """Register a Probe made with the given arguments and return its id."""
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))

    def register(entry_point=Probe, **kwargs) -> str:
        gymnasium.register("accel/Probe-v0", entry_point=entry_point, kwargs=kwargs)
        return "accel/Probe-v0"

    return register


def empty_frame(env: GymEnv) -> np.ndarray:
    return np.empty(env.spec.frame_shape, env.spec.frame_dtype)


def play(env: GymEnv, actions: np.ndarray) -> list[tuple]:
    """Step through `actions`, resetting where an episode ended."""
    frame, records = empty_frame(env), []
    for action in actions:
        if env.terminated or env.truncated:
            env.reset(frame)
        else:
            env.step(action, frame)
        records.append((*frame, env.reward, env.terminated, env.truncated, env.life_lost))
    return records


def test_cartpole_equals_gymnasium() -> None:
    env, reference = GymEnv("CartPole-v1", frame_stack=1, seed=3), gymnasium.make("CartPole-v1")
    frame, rng, episodes = empty_frame(env), np.random.default_rng(0), 0
    observation, _ = reference.reset(seed=episode_seed(3, 1))
    env.reset(frame)
    for _ in range(500):
        np.testing.assert_array_equal(frame, observation)
        if env.terminated or env.truncated:
            episodes += 1
            observation, _ = reference.reset(seed=episode_seed(3, 1 + episodes))
            env.reset(frame)
            continue
        action = rng.integers(2)
        observation, reward, terminated, truncated, _ = reference.step(action)
        env.step(action, frame)
        assert (env.reward, env.terminated, env.truncated) == (reward, terminated, truncated)
        assert not env.life_lost
    assert episodes > 5


def test_cartpole_spec() -> None:
    spec = GymEnv("CartPole-v1", frame_stack=2, seed=0).spec
    assert (spec.frame_shape, spec.frame_dtype, spec.num_actions) == ((4,), "float32", 2)
    assert (spec.frame_stack, spec.frame_skip, spec.action_meanings) == (2, 1, ())


def test_time_limit_truncates() -> None:
    env = GymEnv("MountainCar-v0", 1, 0)
    env.reset(frame := empty_frame(env))
    for _ in range(199):
        env.step(1, frame)
        assert not (env.terminated or env.truncated)
    env.step(1, frame)
    assert env.truncated and not env.terminated
    env.reset(frame)
    assert (env.reward, env.terminated, env.truncated) == (0.0, False, False)


def test_episodes_differ_and_seeds_repeat() -> None:
    def starts(seed: int) -> list[tuple]:
        env = GymEnv("CartPole-v1", 1, seed)
        frame = empty_frame(env)
        return [tuple(frame) for _ in range(3) if env.reset(frame) is None]

    assert starts(1) == starts(1)
    assert starts(1) != starts(2)
    assert len(set(starts(1))) == 3


def test_id_with_a_module_imports_it() -> None:
    assert GymEnv("gymnasium.envs.classic_control:CartPole-v1", 1, 0).spec.num_actions == 2


def test_action_start_and_double_precision(probe) -> None:
    env = GymEnv(probe(), frame_stack=1, seed=0)
    frame = empty_frame(env)
    env.reset(frame)
    assert frame.dtype == np.float32 and env.spec.num_actions == 3
    assert env.spec.action_meanings == ("LEFT", "STAY", "RIGHT")
    for action, given in ((0, 5), (np.int64(1), 6), (2, 7)):
        env.step(action, frame)
        assert frame.tolist() == [given, given] and env.reward == given
    assert env.terminated is True and env.truncated is False and type(env.reward) is float


@pytest.mark.parametrize(
    "dtype, stored", [(np.uint8, "uint8"), (np.int64, "float32"), (np.float32, "float32")]
)
def test_frame_types(probe, dtype, stored: str) -> None:
    env = GymEnv(probe(observation_space=Box(0, 100, (3, 5), dtype)), frame_stack=4, seed=0)
    env.reset(frame := empty_frame(env))
    env.step(1, frame)
    assert env.spec.frame_dtype == stored and env.spec.frame_shape == (3, 5)
    assert (frame == 6).all()


def test_an_observation_without_axes_becomes_one_number(probe) -> None:
    env = GymEnv(probe(observation_space=Box(0, 100, (), np.float32)), frame_stack=1, seed=0)
    env.reset(frame := empty_frame(env))
    env.step(1, frame)
    assert frame.tolist() == [6.0]


@pytest.mark.parametrize(
    "spaces, message",
    [
        ({"action_space": Box(-1, 1, (2,))}, r"actions are Box.*Discrete\(n\).*TransformAction"),
        ({"action_space": MultiDiscrete([2, 2])}, r"actions are MultiDiscrete"),
        ({"observation_space": Discrete(4)}, r"observations are Discrete.*FlattenObservation"),
        ({"observation_space": Dict(a=Box(0, 1, (2,)))}, r"observations are Dict"),
    ],
)
def test_other_spaces_are_refused(probe, spaces: dict, message: str) -> None:
    with pytest.raises(UnsupportedSpace, match=f"accel/Probe-v0: {message}"):
        GymEnv(probe(**spaces), frame_stack=1, seed=0)


@pytest.mark.parametrize("game", ["CartPol-v1", "no_such_module:CartPole-v1", "CartPole-v99", "!"])
def test_unknown_environments_are_refused(game: str) -> None:
    with pytest.raises(UnknownEnvironment, match=r"gymnasium\.make"):
        GymEnv(game, frame_stack=1, seed=0)


@pytest.mark.parametrize(
    "game, length", [("CartPole-v1", 137), ("MountainCar-v0", 200), ("Acrobot-v1", 137)]
)
def test_resuming_equals_going_on(game: str, length: int) -> None:
    env = GymEnv(game, 1, seed=7)
    env.reset(empty_frame(env))
    actions = np.random.default_rng(1).integers(0, env.spec.num_actions, 600)
    play(env, actions[:length])
    state = env.state_dict()
    resumed = GymEnv(game, 1, seed=99)
    resumed.load_state_dict(state)
    expected = play(env, actions[length:])
    assert play(resumed, actions[length:]) == expected
    again = GymEnv(game, 1, seed=99)
    again.load_state_dict(state)
    assert play(again, actions[length:]) == expected


def test_state_before_the_first_reset_keeps_the_own_seed() -> None:
    first, second = GymEnv("CartPole-v1", 1, 5), GymEnv("CartPole-v1", 1, 5)
    second.load_state_dict(first.state_dict())
    frames = [empty_frame(first), empty_frame(second)]
    first.reset(frames[0])
    second.reset(frames[1])
    np.testing.assert_array_equal(*frames)
