"""Shared weights: one learner does what it always did; several lose nothing, see nothing torn."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest
import torch

from accel.algos import Ranks
from accel.learning.async_ import SharedOptimizer
from accel.learning.optimizers import CPU_CHUNK, MOMENTS, build_optimizer
from accel.learning.range_locks import RangeLocks
from accel.learning.shared_parameters import SharedParameters, shared_fields
from accel.learning.sync import RankError
from accel.shared import SharedBlock
from tests.learning import async_program
from tests.learning.async_program import NUM_PUSHES, SIZE, Subtract, open_shared

SETTINGS = {
    "adam": dict(epsilon=1e-5),
    "rmsprop": dict(epsilon=1e-5, epsilon_inside_sqrt=True),
    "rmsprop as torch": dict(epsilon=1e-5, epsilon_inside_sqrt=False),
    "rmsprop from 1": dict(epsilon=1e-5, rmsprop_initial_mean_square=1.0),
}


@pytest.fixture
def new_memory():
    """new_memory(state) reserves shared weights; returns the path that other processes open."""
    blocks = []

    def new(state=()):
        blocks.append(SharedBlock(shared_fields(SIZE, state)))
        return f"/proc/{os.getpid()}/fd/{blocks[-1].fd}"

    yield new
    for block in blocks:
        block.close()


@pytest.fixture
def start_ranks(tmp_path):
    """start_ranks(program, path, size) runs program(rank, size, path, folder) in processes."""
    started = []

    def start(program, path, size):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["accel.learning"])
        for rank in range(size):
            started.append(context.Process(target=program, args=(rank, size, path, tmp_path)))
            started[-1].start()
        return started

    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.mark.parametrize("size", [64, CPU_CHUNK, 2 * CPU_CHUNK + 64])
def test_the_chunks_are_all_weights(size: int) -> None:
    shared = SharedParameters(SharedBlock(shared_fields(size, ("mean_square",))))
    covered = [index for part in shared.chunks for index in range(part.start, part.stop)]
    assert covered == list(range(size))
    assert len(shared.pushes) == len(shared.steps) == len(shared.chunks)


def shared_optimizer(settings, path, parameters):
    name = settings.split()[0]

    def build(weights, state):
        return build_optimizer(name, weights, **SETTINGS[settings], state=state)

    return SharedOptimizer(parameters, open_shared(path, Ranks(), MOMENTS[name]), build)


def own_optimizer(settings, parameters):
    return build_optimizer(settings.split()[0], parameters, **SETTINGS[settings])


def gradients(count):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(SIZE, generator=generator) for _ in range(count))


@pytest.mark.parametrize("settings", SETTINGS)
def test_one_learner_does_what_it_does_without_sharing(settings, new_memory) -> None:
    own, shared = torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE)
    usual = own_optimizer(settings, own)
    path = new_memory(MOMENTS[settings.split()[0]])
    optimizer = shared_optimizer(settings, path, shared)
    for update, gradient in enumerate(gradients(50)):
        usual.step(gradient, 1e-3 / (1 + update))
        optimizer.step(gradient, 1e-3 / (1 + update))
        assert torch.equal(own, shared)
    stats = optimizer.pop_stats()
    assert (stats.pushes, stats.visits, stats.lag_max) == (50, 200, 0)


@pytest.mark.gpu
def test_a_learner_on_a_gpu_pushes_to_the_host_and_takes_back(new_memory) -> None:
    own, shared = torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE).cuda()
    usual = own_optimizer("adam", own)
    optimizer = shared_optimizer("adam", new_memory(MOMENTS["adam"]), shared)
    for gradient in gradients(10):
        usual.step(gradient, 1e-3)
        optimizer.step(gradient.cuda(), 1e-3)
    assert torch.equal(own, shared.cpu())  # all arithmetic is the host's
    optimizer.pull()
    assert torch.equal(own, shared.cpu())


@pytest.mark.parametrize("saved_by, loaded_by", [("own", "shared"), ("shared", "own")])
@pytest.mark.parametrize("settings", SETTINGS)
def test_states_are_the_same_as_without_sharing(settings, saved_by, loaded_by, new_memory) -> None:
    """In both directions; and what was saved is not changed by going on."""

    def build(kind, parameters):
        if kind == "own":
            return own_optimizer(settings, parameters)
        path = new_memory(MOMENTS[settings.split()[0]])
        return shared_optimizer(settings, path, parameters)

    first, second = torch.zeros(SIZE), torch.zeros(SIZE)
    one = build(saved_by, first)
    steps = list(gradients(4))
    for gradient in steps[:2]:
        one.step(gradient, 1e-3)
    state = one.state_dict()
    other = build(loaded_by, second)
    second.copy_(first)  # the learner loads its weights before the optimizer
    other.load_state_dict(state)
    for gradient in steps[2:]:
        one.step(gradient, 1e-3)
        other.step(gradient, 1e-3)
    assert torch.equal(first, second)


def test_all_chunks_start_from_the_mean_square_that_is_set(new_memory) -> None:
    """Whoever comes first, and before anybody's step."""
    path = new_memory(MOMENTS["rmsprop"])
    for _ in range(2):
        shared_optimizer("rmsprop from 1", path, torch.zeros(SIZE))
        state = open_shared(path, Ranks(), MOMENTS["rmsprop"]).state
        assert torch.equal(state["mean_square"], torch.ones(SIZE))


def test_a_fresh_state_loads(new_memory) -> None:
    """Adam's is empty before its first step."""
    own, shared = torch.zeros(SIZE), torch.zeros(SIZE)
    usual = own_optimizer("adam", own)
    optimizer = shared_optimizer("adam", new_memory(MOMENTS["adam"]), shared)
    optimizer.step(torch.ones(SIZE), 1.0)
    shared.zero_()
    optimizer.load_state_dict(usual.state_dict())
    for gradient in gradients(2):
        usual.step(gradient, 1e-3)
        optimizer.step(gradient, 1e-3)
    assert torch.equal(own, shared)


def test_two_learners_take_turns_and_count_their_lag(new_memory) -> None:
    path = new_memory()
    own = [torch.zeros(SIZE), torch.zeros(SIZE)]
    one, two = (
        SharedOptimizer(own[rank], open_shared(path, Ranks(rank, 2), ()), Subtract)
        for rank in range(2)
    )
    for _ in range(3):
        one.step(torch.full((SIZE,), 1.0), 1.0)
    two.step(torch.full((SIZE,), 10.0), 1.0)  # on weights that are three pushes older
    assert torch.equal(own[0], torch.full((SIZE,), -3.0))
    assert torch.equal(own[1], torch.full((SIZE,), -13.0))
    one.pull()
    assert torch.equal(own[0], own[1])
    one.step(torch.zeros(SIZE), 1.0)
    lags = [(stats.lag_min, stats.lag_max) for stats in (one.pop_stats(), two.pop_stats())]
    assert lags == [(0, 0), (3, 3)]


def test_four_learners_lose_no_update_and_see_no_half_written_chunk(
    new_memory, start_ranks, tmp_path
) -> None:
    path = new_memory()
    ranks = start_ranks(async_program.push, path, 4)
    for process in ranks:
        process.join(120)
    assert [process.exitcode for process in ranks] == [0] * 4
    shared = open_shared(path, Ranks(), ())
    assert torch.equal(shared.weights, torch.full((SIZE,), -float(NUM_PUSHES * (1 + 2 + 3 + 4))))
    assert shared.pushes.tolist() == shared.steps.tolist() == [4 * NUM_PUSHES] * 4
    results = [torch.load(tmp_path / f"pushed_{rank}.pt") for rank in range(4)]
    assert [torn for torn, _ in results] == [0] * 4
    for _, stats in results:
        assert stats["pushes"] == NUM_PUSHES and stats["visits"] == 4 * NUM_PUSHES
        assert stats["lag_sum"] <= 4 * 3 * NUM_PUSHES
    # They did run side by side.
    assert sum(stats["lag_sum"] for _, stats in results) > 0


def test_four_learners_count_the_steps_of_adam(new_memory, start_ranks) -> None:
    """Equal gradients: the moments are those of one learner that made all the steps."""
    path = new_memory(MOMENTS["adam"])
    ranks = start_ranks(async_program.push_adam, path, 4)
    for process in ranks:
        process.join(120)
    assert [process.exitcode for process in ranks] == [0] * 4
    weights = torch.zeros(64)
    adam = build_optimizer("adam", weights, epsilon=1e-5)
    for _ in range(4 * NUM_PUSHES):
        adam.step(torch.ones(64), 1e-3)
    shared = open_shared(path, Ranks(), MOMENTS["adam"])
    assert torch.equal(shared.weights, weights[0].expand(SIZE))
    assert shared.steps.tolist() == [4 * NUM_PUSHES] * 4


def test_a_killed_holder_is_named_and_blocks_nobody(new_memory, start_ranks, tmp_path) -> None:
    path = new_memory()
    (holder,) = start_ranks(async_program.hold, path, 1)
    while not (tmp_path / "held").exists():
        assert holder.is_alive()
        time.sleep(0.01)
    shared = open_shared(path, Ranks(1, 2), (), timeout_s=0.2)
    with pytest.raises(RankError, match=r"rank 0 holds a chunk.* part 1 was not free within 0.2 s"):
        shared.chunk(1).__enter__()
    holder.kill()
    holder.join()
    with pytest.raises(RankError, match="rank 0 was lost while it changed chunk 1"):
        shared.chunk(1).__enter__()
    with shared.chunk(0):
        pass


def test_a_holder_that_is_not_marked_yet_has_no_number(new_memory) -> None:
    path = new_memory()
    shared, fd = open_shared(path, Ranks(1, 2), (), timeout_s=0.1), os.open(path, os.O_RDWR)
    with RangeLocks(fd, timeout_s=1.0).held(0), pytest.raises(RankError, match=r"^a rank holds"):
        shared.chunk(0).__enter__()
    os.close(fd)


def test_a_failure_halfway_leaves_the_chunk_marked(new_memory) -> None:
    path = new_memory()
    failing, other = (open_shared(path, Ranks(rank, 2), ()) for rank in range(2))
    with pytest.raises(KeyError), failing.chunk(2):
        raise KeyError
    with pytest.raises(RankError, match="rank 0 was lost while it changed chunk 2"):
        other.chunk(2).__enter__()
