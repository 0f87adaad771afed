"""A config's facts for the verdict, and the line that a user sees at the end."""

import re
from dataclasses import replace

import pytest

from accel.config.derive import derive
from accel.config.machine import Machine
from accel.runners.limits import setup_of
from accel.runners.train import train

EIGHT_CORES = Machine(cores=8, memory_bytes=8 * 10**9)


def setup(config):
    return setup_of(config, derive(config, EIGHT_CORES))


def test_facts_come_from_the_config_and_the_machine(make_config) -> None:
    config = make_config("sampler=parallel", "sampler.num_envs=24", "sampler.num_groups=2")
    facts = setup(config)
    assert (facts.num_workers, facts.most_workers) == (8, 8)
    assert setup(replace(config, sampler=replace(config.sampler, num_workers=3))).most_workers == 8
    assert setup(make_config("sampler=serial", "sampler.num_groups=1")).num_workers == 0


@pytest.mark.parametrize(
    ("num_envs", "chosen", "expected"),
    [
        (8, "sampler.num_groups=1 sampler.num_workers=4", True),
        (4, "sampler.num_groups=1 sampler.num_workers=4", False),  # two workers would have none
        (6, "sampler.num_groups=1 sampler.num_workers=2", True),
        (7, "sampler.num_groups=1 sampler.num_workers=2", False),  # an odd number
        (8, "sampler.num_groups=2", False),
        (8, "sampler=serial sampler.num_groups=1", False),
    ],
)
def test_a_second_group_is_only_advised_where_workers_can_share_it(
    num_envs: int, chosen: str, expected: bool, make_config
) -> None:
    config = make_config(f"sampler.num_envs={num_envs}", *chosen.split())
    assert setup(config).can_alternate == expected


def test_overlap_is_advised_on_a_gpu_alone_to_algorithms_that_allow_it(make_config) -> None:
    """On a CPU acting and learning would take the cores from each other."""
    with_gpu = replace(EIGHT_CORES, cuda_devices=1)

    def can_overlap(machine: Machine, *words: str) -> bool:
        config = make_config("device=auto", "runner.policy_lag=0", *words)
        return setup_of(config, derive(config, machine)).can_overlap

    assert can_overlap(with_gpu, "algo=ppo") and can_overlap(with_gpu, "algo=dqn")
    assert not can_overlap(EIGHT_CORES, "algo=ppo")
    assert not can_overlap(with_gpu, "algo=a2c") and not can_overlap(with_gpu, "algo=appo")


def test_facts_of_algorithms(make_config) -> None:
    ppo = setup(make_config("algo=ppo", "algo.num_epochs=3"))
    assert (ppo.num_epochs, ppo.num_minibatches, ppo.replay_ratio) == (3, 4, None)
    dqn = setup(make_config("algo=dqn", "algo.replay_ratio=8", "algo.batch_size=32"))
    assert (dqn.num_epochs, dqn.replay_ratio, dqn.batch_size) == (1, 8, 32)


def test_the_console_says_at_the_end_what_limited_the_run(make_config, capsys) -> None:
    train(make_config("env=gym", "env.game=CartPole-v1", "model=mlp", "total_agent_steps=2048"))
    line = r"the run was limited by (the environments|inference|the learner), \d+ % of the time"
    assert len(re.findall(line, capsys.readouterr().out)) == 1
