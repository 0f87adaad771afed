"""Derived sizes against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.config.derive import (
    SCREENS,
    derive,
    resolve_protocol,
    scale_to_learners,
)
from accel.config.describe import describe
from accel.config.machine import Machine
from accel.config.place import Place
from accel.config.schema import Config, EnvConfig, SamplerConfig
from accel.config.workers import resolve_workers
from accel.sampling.layout import deal

Compose = Callable[..., Config]


def test_sizes_of_the_reference_ppo(make_config: Compose, machine: Machine) -> None:
    derived = derive(make_config(), machine)
    assert derived.batch_size == 8 * 128 == 1024
    assert derived.minibatch_size == 1024 // 4 == 256
    assert derived.num_updates == 9766  # 10,000,000 / 1,024 = 9,765.6, rounded up
    assert derived.frames == 40_000_000
    assert (derived.num_workers, derived.envs_per_learner, derived.num_groups) == (4, 8, 2)
    # frames (128 + 4) * 8 * 84 * 84; per step and environment 8 action + 4 reward + 4 flags
    # + 4 * 18 log-probs; per row 4 age + 4 value; 8 bytes of policy version per step.
    frames, steps = 132 * 8 * 7056, 128 * 8 * (8 + 4 + 4 + 72)
    assert derived.rollout_bytes == frames + steps + 129 * 8 * 8 + 128 * 8


def test_sizes_with_a_recurrent_core(make_config: Compose, machine: Machine) -> None:
    plain = derive(make_config(), machine)
    for core, parts in (("gru", 1), ("lstm", 2)):
        config = make_config(f"model.core={core}", "model.core_size=100", "algo.num_minibatches=2")
        derived = derive(config, machine)
        assert derived.minibatch_size == 128 * 8 // 2  # four columns
        assert derived.rollout_bytes == plain.rollout_bytes + 8 * parts * 100 * 4
        assert f"nature_cnn 512, {core} 100" in dict(describe(config, derived))["learner"]


def test_sizes_of_the_reference_a2c(make_config: Compose, machine: Machine) -> None:
    derived = derive(make_config("algo=a2c"), machine)
    assert derived.batch_size == derived.minibatch_size == 16 * 5
    assert derived.num_updates == 125_000


def test_v_trace_takes_whole_columns(make_config: Compose, machine: Machine) -> None:
    whole = make_config("algo=impala")
    assert derive(whole, machine).minibatch_size == derive(whole, machine).batch_size == 32 * 20
    config = make_config("algo=impala", "algo.num_minibatches=4")
    derived = derive(config, machine)
    assert derived.minibatch_size == 8 * 20
    assert dict(describe(config, derived))["batch"].endswith("= 640; in minibatches of 160")


@pytest.mark.parametrize(
    ("num_envs", "groups", "cores", "workers"),
    [
        (8, 2, 4, 4),
        (8, 2, 64, 4),  # no more than environments in a group
        (16, 2, 6, 6),  # 2 or 3 for each
        (16, 2, 7, 6),  # 7 would leave the busiest 3 as well
        (14, 2, 4, 4),
        (256, 2, 14, 14),
        (128, 2, 14, 13),
        (8, 1, 64, 8),
        (6, 3, 2, 2),
        (2, 2, 2, 1),
    ],
)
def test_workers_fit_cores_and_groups(
    num_envs: int, groups: int, cores: int, workers: int, make_config: Compose
) -> None:
    config = make_config(f"sampler.num_envs={num_envs}", f"sampler.num_groups={groups}")
    machine = Machine(cores=cores, memory_bytes=10**10)
    assert resolve_workers(config, machine)[0] == workers


@pytest.mark.parametrize(
    "gpus, overrides, learners",
    [
        (0, (), 1),
        (0, ("hardware.learners=2",), 2),
        (8, ("sampler.num_envs=128",), 8),
        (8, ("sampler.num_envs=128", "hardware.learners=4"), 4),
        (8, ("sampler.num_envs=24",), 6),  # 2 groups of 2
        (8, ("sampler.num_envs=24", "hardware.scaling=weak"), 8),
        (8, ("sampler.num_envs=128", "device=cuda:3"), 1),
        (8, ("sampler.num_envs=128", "device=cpu"), 1),
    ],
)
def test_learners_follow_the_visible_gpus(gpus, overrides, learners, make_config) -> None:
    machine = Machine(cores=64, memory_bytes=10**12, cuda_devices=gpus)
    config = make_config(*overrides)
    derived = derive(config, machine)
    assert derived.num_learners == learners
    if "hardware.scaling=weak" not in overrides:
        assert derived.envs_per_learner * learners == config.sampler.num_envs


@pytest.mark.parametrize(
    "algo, cores, gpus, overrides, learners, batch, minibatch",
    [
        ("a3c", 4, 0, (), 4, 4 * 5, 4 * 5),
        ("a3c", 6, 0, (), 4, 4 * 5, 4 * 5),  # 16 environments
        ("a3c", 4, 0, ("hardware.learners=2",), 2, 8 * 5, 8 * 5),
        ("a3c", 64, 2, (), 2, 8 * 5, 8 * 5),
        ("a3c", 64, 2, ("device=cuda:0",), 1, 16 * 5, 16 * 5),
        ("a3c", 4, 0, ("hardware.scaling=weak",), 4, 4 * 5, 4 * 5),  # of 16, before they grow
        ("appo", 2, 0, (), 2, 8 * 128, 8 * 32),
        ("async_dqn", 2, 0, (), 2, 4 * 4, 4 * 4),
        ("a2c", 4, 0, (), 1, 16 * 5, 16 * 5),
    ],
)
def test_asynchronous_learners_update_from_their_own_environments(
    algo, cores, gpus, overrides, learners, batch, minibatch, make_config
) -> None:
    machine = Machine(cores=cores, memory_bytes=10**12, cuda_devices=gpus)
    config = make_config(f"algo={algo}", *overrides)
    derived = derive(config, machine)
    assert (derived.num_learners, derived.batch_size) == (learners, batch)
    assert derived.minibatch_size == minibatch
    rows = dict(describe(config, derived))
    assert ("asynchronous" in rows) == (algo != "a2c")
    if learners > 1:
        assert f"each learner's own {16 // learners if algo != 'async_dqn' else 4} env" in str(rows)
        assert f"{learners} asynchronous learners" in rows["learner"]


def test_a_rank_takes_its_share_of_the_machine(make_config: Compose) -> None:
    """Eight ranks that share 64 cores and eight GPUs; and one that was given its own of each."""
    config = make_config("sampler.num_envs=512")
    shared = Place(rank=11, size=16, local_rank=3, cores_shared_by=8, is_given=True)
    machine = Machine(cores=64, memory_bytes=10**12, cuda_devices=8, place=shared)
    derived = derive(config, machine)
    assert (derived.device, derived.envs_per_learner, derived.num_workers) == ("cuda:3", 32, 6)
    assert (derived.learner_threads, derived.batch_size) == (1, 512 * 128)
    own = replace(shared, cores_shared_by=1)
    derived = derive(config, Machine(cores=8, memory_bytes=10**12, cuda_devices=1, place=own))
    assert (derived.device, derived.num_workers) == ("cuda:0", 6)


@pytest.mark.parametrize(
    "rule, num_envs, rate", [("none", 32, 1.0), ("sqrt", 32, 2.0), ("linear", 32, 4.0)]
)
def test_weak_scaling_grows_the_batch_and_as_asked_the_rate(rule, num_envs, rate, make_config):
    config = make_config("hardware.scaling=weak", f"hardware.learning_rate_scaling={rule}")
    machine = Machine(cores=4, memory_bytes=10**12, cuda_devices=4)
    scaled = scale_to_learners(config, machine)
    assert scaled.sampler.num_envs == num_envs == 4 * config.sampler.num_envs
    assert scaled.algo.learning_rate == pytest.approx(rate * config.algo.learning_rate)
    assert scale_to_learners(make_config(), machine) == make_config()


def test_workers_as_set_even_beyond_the_cores(make_config: Compose, machine: Machine) -> None:
    derived = derive(make_config("sampler.num_workers=1"), machine)
    assert derived.num_workers == 1
    assert (
        "1 workers (as set) x 8,"
        in dict(describe(make_config("sampler.num_workers=1"), derived))["sampler"]
    )


def test_derived_layouts_are_always_valid(make_config: Compose) -> None:
    reference = make_config()

    @given(per_group=st.integers(1, 64), groups=st.integers(1, 4), cores=st.integers(1, 128))
    def check(per_group: int, groups: int, cores: int) -> None:
        sampler = SamplerConfig(num_envs=per_group * groups, num_groups=groups)
        config = replace(reference, sampler=sampler)
        derived = derive(config, Machine(cores=cores, memory_bytes=10**12))
        assert 1 <= derived.num_workers <= min(cores, per_group)
        columns = [slice(i * per_group, (i + 1) * per_group) for i in range(groups)]
        busiest = max(
            sum(part.stop - part.start for part in parts)
            for parts in deal(columns, derived.num_workers)
        )
        assert busiest == -(-per_group * groups // min(cores, per_group))  # no number does better
        assert derived.actor_threads >= 1

    check()


def test_serial_is_one_worker_and_one_group(make_config: Compose, machine: Machine) -> None:
    derived = derive(make_config("sampler=serial"), machine)
    assert (derived.num_workers, derived.num_groups, derived.envs_per_learner) == (1, 1, 8)
    assert derived.actor_threads == derived.learner_threads == 4


def test_protocols() -> None:
    assert resolve_protocol(EnvConfig(protocol="modern")) == {
        "repeat_action_probability": 0.25,
        "max_noops": 0,
        "terminal_on_life_loss": False,
    }
    assert resolve_protocol(EnvConfig(protocol="classic")) == {
        "repeat_action_probability": 0.0,
        "max_noops": 30,
        "terminal_on_life_loss": True,
    }
    assert resolve_protocol(EnvConfig(kind="gym", protocol="classic")) == {
        "repeat_action_probability": 0.0,
        "max_noops": 0,
        "terminal_on_life_loss": False,
    }


def test_a_set_value_overrules_the_protocol_even_when_it_is_zero_or_false() -> None:
    env = EnvConfig(repeat_action_probability=0.0, terminal_on_life_loss=False, protocol="classic")
    assert resolve_protocol(env)["repeat_action_probability"] == 0.0
    assert resolve_protocol(env)["terminal_on_life_loss"] is False


@pytest.mark.parametrize(
    ("words", "clipped"),
    [
        ([], True),
        (["algo=dqn"], True),
        (["env.protocol=classic"], True),
        (["algo=r2d2"], False),
        (["algo=dqn", "algo.value_rescaling=true"], False),
        (["algo=r2d2", "algo.value_rescaling=false"], True),
        (["algo=r2d2", "env.clip_rewards=true"], True),
        (["algo=dqn", "env.clip_rewards=false"], False),
        (["env=gym", "model=mlp"], False),
        (["env=gym", "model=mlp", "env.clip_rewards=true"], True),
    ],
)
def test_rescaled_values_take_the_place_of_clipped_rewards(
    words: list[str], clipped: bool, make_config: Compose, machine: Machine
) -> None:
    config = make_config(*words)
    derived = derive(config, machine)
    assert derived.clip_rewards is clipped
    assert ("clipped to their sign" in dict(describe(config, derived))["protocol"]) is clipped


def test_the_report_says_why_rewards_are_not_clipped(make_config: Compose, machine) -> None:
    config = make_config("algo=r2d2")
    row = dict(describe(config, derive(config, machine)))["protocol"]
    assert row.endswith("rewards as they are (value_rescaling takes the place of clipping)")


@pytest.mark.parametrize(
    ("device", "count", "resolved"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda:0"),
        ("cpu", 2, "cpu"),
        ("cuda", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_device(device: str, count: int, resolved: str, make_config: Compose) -> None:
    machine = Machine(cores=4, memory_bytes=10**10, cuda_devices=count)
    assert derive(make_config(f"device={device}"), machine).device == resolved


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (4, 1), (7, 3)])
def test_the_acting_network_gets_the_cores_that_workers_leave(
    cores: int, threads: int, make_config: Compose
) -> None:
    machine = Machine(cores=cores, memory_bytes=10**10)
    assert derive(make_config(), machine).actor_threads == threads


@pytest.mark.parametrize(("cores", "num_envs", "threads"), [(2, 16, 2), (64, 16, 2), (4, 4, 1)])
def test_with_one_group_the_acting_network_gets_the_waiting_workers_cores(
    cores: int, num_envs: int, threads: int, make_config: Compose
) -> None:
    machine = Machine(cores=cores, memory_bytes=10**10)
    config = make_config("sampler.num_groups=1", f"sampler.num_envs={num_envs}")
    assert derive(config, machine).actor_threads == threads


def test_screens_are_those_of_the_environments() -> None:
    from accel.envs import screen

    assert {name: values[:2] for name, values in screen.SCREENS.items()} == SCREENS


def test_report_tells_protocol_sizes_and_length(make_config: Compose, machine: Machine) -> None:
    sizes = ("sampler.num_envs=16", "algo.num_epochs=3", "algo.num_minibatches=8")
    config = make_config("env.protocol=classic", "total_agent_steps=2_500_000", *sizes)
    rows = dict(describe(config, derive(config, machine)))
    assert rows["protocol"].startswith("classic: sticky actions 0, up to 30 no-ops")
    assert rows["length"] == "2,500,000 agent steps = 10,000,000 frames, 1,221 updates"
    assert rows["batch"].startswith("16 environments x 128 steps = 2,048; 3 epochs x 8 minibatches")
    assert "4 workers (one per usable core) x 4, in 2 groups" in rows["sampler"]
    assert rows["environment"] == "pong, frames 84x84 x 4, frame skip 4"
    on_device = make_config("env.frames=device")
    rows = dict(describe(on_device, derive(on_device, machine)))
    assert "frames 84x84 x 4 made on the actor's device" in rows["environment"]


def test_report_of_a_vector_environment(make_config: Compose, machine: Machine) -> None:
    config = make_config("experiment=cartpole")
    rows = dict(describe(config, derive(config, machine)))
    assert rows["environment"].startswith("CartPole-v1 (Gymnasium)")
    assert "sticky" not in rows["protocol"]
    assert rows["memory"] == "8 GB available"


@pytest.mark.parametrize(
    ("device", "asked", "expected"),
    [
        ("cuda", "null", True),
        ("cuda", "false", False),
        ("cpu", "null", False),
        ("cpu", "true", False),
    ],
)
def test_cuda_graphs(device: str, asked: str, expected: bool, make_config: Compose) -> None:
    machine = Machine(cores=4, memory_bytes=10**10, cuda_devices=1)
    config = make_config(f"device={device}", f"hardware.cuda_graphs={asked}")
    derived = derive(config, machine)
    assert derived.cuda_graphs is expected
    assert ("CUDA graphs" in dict(describe(config, derived))["learner"]) is expected
