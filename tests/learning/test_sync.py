"""Several learners on gloo make the update of one; a lost or differing one is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from accel.learning.sync import RankError, Together
from tests.learning import q_learners, rank_program


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_ranks_learn_what_one_learner_does(size, run_ranks, make_rollout, tmp_path) -> None:
    """With invalid steps, normalized advantages, a KL stop and minibatches that do not divide."""
    rollouts = [vars(make_rollout(num_steps=10, num_envs=8, seed=seed)) for seed in range(5)]
    torch.save(rollouts, tmp_path / "rollouts.pt")
    rank_program.learn(0, 1, tmp_path)
    assert run_ranks(rank_program.learn, size) == [0] * size
    for algorithm in rank_program.ALGORITHMS:
        assert_equal_to_one(algorithm, size, tmp_path)


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_ranks_learn_from_their_replays_what_one_learner_does(
    size, run_ranks, make_rollout, tmp_path
) -> None:
    """Uniform and prioritized draws, noise and random fractions, batches smaller than the ranks."""
    sizes = dict(num_steps=q_learners.NUM_STEPS, num_envs=q_learners.NUM_ENVS)
    state_size = q_learners.STATE_SIZE
    rollouts = [vars(make_rollout(**sizes, state_size=state_size, seed=seed)) for seed in range(9)]
    torch.save(rollouts, tmp_path / "rollouts.pt")
    rank_program.learn_from_replay(0, 1, tmp_path)
    assert run_ranks(rank_program.learn_from_replay, size) == [0] * size
    for name in rank_program.REPLAYED:
        assert_equal_to_one(name, size, tmp_path)


def assert_equal_to_one(name: str, size: int, folder: Path) -> None:
    """All ranks ended with the same weights and metrics, those of one learner but for rounding."""
    alone = torch.load(folder / f"{name}_1_0.pt", weights_only=True)
    ranks = [
        torch.load(folder / f"{name}_{size}_{rank}.pt", weights_only=True) for rank in range(size)
    ]
    for rank in ranks:
        torch.testing.assert_close(rank["weights"], alone["weights"], rtol=0, atol=1e-5)
        torch.testing.assert_close(rank["metrics"], alone["metrics"], rtol=1e-3, atol=1e-4)
        assert torch.equal(rank["weights"], ranks[0]["weights"])
        assert torch.equal(rank["metrics"], ranks[0]["metrics"])


def test_ranks_agree_gather_and_notice_who_differs(run_ranks, tmp_path) -> None:
    assert run_ranks(rank_program.differ, 3) == [0, 0, 0]
    for rank in range(3):
        assert "the weights of rank 1 differ" in (tmp_path / f"error_{rank}").read_text()
        assert (tmp_path / f"any_{rank}").read_text() == "[True, False]"
        assert (tmp_path / f"gathered_{rank}").read_text() == "[0, 10, 20]"
        gathered_first = "[0, 10, 20]" if rank == 0 else "None"
        assert (tmp_path / f"gathered_first_{rank}").read_text() == gathered_first


def test_a_lost_rank_is_an_error_of_the_others(run_ranks, tmp_path) -> None:
    run_ranks(rank_program.die, 3)
    for rank in (0, 2):
        assert "rank 1 was lost while adding up" in (tmp_path / f"error_{rank}").read_text()


@pytest.mark.gpu
def test_one_rank_on_nccl_and_two_that_share_a_gpu(run_ranks, make_rollout, tmp_path) -> None:
    rollouts = [vars(make_rollout(num_steps=10, num_envs=8, seed=seed)) for seed in range(5)]
    torch.save(rollouts, tmp_path / "rollouts.pt")
    for size in (1, 2):
        assert run_ranks(rank_program.learn_on_gpu, size) == [0] * size
    alone = torch.load(tmp_path / "gpu_1_0.pt", weights_only=True)
    for rank in range(2):
        shared = torch.load(tmp_path / f"gpu_2_{rank}.pt", weights_only=True)
        torch.testing.assert_close(shared, alone, rtol=0, atol=1e-4)


def test_nccls_watchdog_does_not_end_a_process_before_ours(monkeypatch) -> None:
    name = "TORCH_NCCL_ASYNC_ERROR_HANDLING"
    monkeypatch.setenv(name, "")
    monkeypatch.delenv(name)

    def refuse(*arguments, **named) -> None:
        raise RuntimeError("nobody came")

    monkeypatch.setattr(dist, "init_process_group", refuse)
    with pytest.raises(RankError, match="nobody came"):
        Together(0, 2, backend="gloo", timeout_s=1)
    assert name not in os.environ
    with pytest.raises(RankError, match="nobody came"):
        Together(0, 2, backend="nccl", timeout_s=1)
    assert os.environ[name] == "0"
