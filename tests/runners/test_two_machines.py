"""One job on two machines, which are namespaces here: torchrun, TCP between them, a pulled plug."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from accel.runs.reading import read_manifest
from tests.run_commands import SMALL, Command, wait_until, words
from tests.runners.run_results import assert_did_the_same
from tests.runners.two_machines import NAMES, TwoMachines, why_not

pytestmark = pytest.mark.netns

TRAIN = (
    "train",
    *SMALL,
    *words(
        "env=gym env.game=faulty_games:Game-none-v0 model=mlp model.hidden_size=8 sampler=serial "
        "sampler.num_envs=4 algo.rollout_length=8 algo.num_minibatches=2 algo.num_epochs=2"
    ),
    "run_dir=run",
)
TORCHRUN = words(
    "-m torch.distributed.run --nnodes=2 --nproc-per-node=1 --monitor-interval=0.1 "
    "--rdzv-backend=c10d --rdzv-endpoint=node0:29400"
)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[TwoMachines]:
    reason = why_not()
    if reason:
        pytest.skip(f"NOT TESTED ON TWO MACHINES: {reason}")
    machines = TwoMachines(tmp_path)
    try:
        machines.plug_in()
        yield machines
    finally:
        machines.down()


@pytest.fixture
def start_on_both(start, machines, tmp_path):
    """Run a training command under torchrun on each machine, in a folder named like it."""

    def start_on(number: int, *words: str) -> Command:
        folder = tmp_path / NAMES[number]
        folder.mkdir()
        return start(*words, folder=folder, through=TORCHRUN, on=machines.on(number, folder))

    return lambda *words: [start_on(number, *words) for number in range(2)]


def test_two_machines_do_what_one_learner_does(start, start_on_both, tmp_path) -> None:
    both = start_on_both(*TRAIN, "total_agent_steps=480")
    alone = start(*TRAIN, "total_agent_steps=480")
    for command in (*both, alone):
        command.ends_with(0)
    assert "2 learners" in both[0].stdout
    assert_did_the_same(tmp_path / "run", tmp_path / "node0" / "run")
    assert not (tmp_path / "node1" / "run").exists()  # the first rank keeps the only run folder


def test_a_pulled_plug_ends_the_ranks_on_both_sides(start_on_both, machines, tmp_path) -> None:
    both = start_on_both(*TRAIN, "total_agent_steps=100_000")
    both[0].wait_for_rows(tmp_path / "node0" / "run", 3)
    machines.pull_the_plug()
    for number, command in enumerate(both):
        # torchrun itself may go on talking to the silence for minutes.
        wait_until(lambda command=command: command.ranks() == {}, within_s=20)
        assert f"rank {1 - number} was lost while" in command.stderr
    assert read_manifest(tmp_path / "node0" / "run").data["status"] == "failed"
