"""What limits a run, and advice that fits its settings, on splits made by hand."""

from dataclasses import replace

import pytest

from accel.metrics.limit_watch import LimitWatch
from accel.metrics.timers import TimeSplit
from accel.metrics.verdict import Setup, TimeShares, limit_of, verdict

CPU = Setup(
    cores=4,
    worker_cores=4,
    num_envs=16,
    num_workers=4,
    most_workers=4,
    can_alternate=False,
    actor_threads=1,
    learner_threads=4,
    on_gpu=False,
    has_gpu=False,
    num_epochs=4,
    num_minibatches=4,
)
GPU = replace(CPU, on_gpu=True, has_gpu=True)
SAMPLING = TimeShares(environments=0.6, inference=0.2, learning=0.2, workers_busy=0.75)
INFERENCE = TimeShares(environments=0.1, inference=0.5, learning=0.4)
LEARNING = TimeShares(environments=0.2, inference=0.16, learning=0.64)
COMMUNICATION = TimeShares(environments=0.2, inference=0.1, learning=0.3, communication=0.4)


@pytest.mark.parametrize(
    ("shares", "setup", "text"),
    [
        (
            LEARNING,
            CPU,
            "limited by the learner, 64 % of the time (environments 20 %, inference 16 %). Faster: "
            "a GPU; or algo.num_epochs=3, which learns less from each sample",
        ),
        (
            SAMPLING,
            CPU,
            "limited by the environments, 60 % of the time (inference 20 %, learner 20 %). "
            "Faster: more CPU cores: 4 workers have one each",
        ),
        (
            COMMUNICATION,
            CPU,
            "limited by communication, 40 % of the time (environments 20 %, inference 10 %, "
            "learner 30 %). Faster: algo.num_minibatches=2, so that exchanges are rarer; or "
            "learners of equal speed, as the time includes waiting for the slowest",
        ),
        (
            INFERENCE,
            replace(CPU, num_workers=2, most_workers=2, can_alternate=True),
            "limited by inference, 50 % of the time (environments 10 %, learner 40 %). Faster: "
            "sampler.num_groups=2: one group steps while the other is served; or "
            "hardware.actor_threads=2; or a GPU",
        ),
    ],
)
def test_the_line_names_the_limit_its_share_and_what_helps(shares, setup, text) -> None:
    assert verdict(shares, setup).text == text


@pytest.mark.parametrize(
    ("shares", "setup", "advised"),
    [
        (SAMPLING, replace(CPU, num_workers=2), "sampler.num_workers=4"),
        (SAMPLING, replace(CPU, num_workers=2, most_workers=2), "that 4 cores can share"),
        (replace(SAMPLING, workers_busy=0.4), CPU, "sampler.num_envs=32"),
        (SAMPLING, replace(CPU, num_workers=0, most_workers=4), "sampler=parallel, to step"),
        (SAMPLING, replace(GPU, can_overlap=True), "runner.policy_lag=1"),
        (SAMPLING, replace(GPU, can_make_frames=True), "env.frames=device"),
        (LEARNING, replace(CPU, learner_threads=1), "hardware.learner_threads=4"),
        (LEARNING, replace(CPU, has_gpu=True), "device=cuda"),
        (LEARNING, GPU, "algo.num_minibatches=2"),
        (LEARNING, replace(GPU, num_minibatches=1), "sampler.num_envs=32"),
        (LEARNING, replace(GPU, replay_ratio=8.0, batch_size=32), "algo.batch_size=64"),
        (LEARNING, replace(CPU, replay_ratio=0.5), "algo.replay_ratio=0.25"),
        (INFERENCE, GPU, "sampler.num_envs=32"),
        (INFERENCE, replace(CPU, is_small=True), "sampler.num_envs=32"),
    ],
)
def test_advice_fits_the_settings(shares, setup, advised) -> None:
    assert advised in verdict(shares, setup).text.split("Faster: ")[1]


@pytest.mark.parametrize(
    ("shares", "setup", "useless"),
    [
        (SAMPLING, CPU, "policy_lag"),
        (replace(SAMPLING, environments=0.9, inference=0.05, learning=0.05), GPU, "policy_lag"),
        (LEARNING, CPU, "learner_threads"),
        (LEARNING, CPU, "replay_ratio"),
        (LEARNING, replace(CPU, num_epochs=1), "num_epochs"),
        (LEARNING, GPU, "a GPU;"),
        (INFERENCE, CPU, "actor_threads"),
        (INFERENCE, GPU, "num_groups"),
        (LEARNING, replace(CPU, is_small=True), "a GPU"),
        (INFERENCE, replace(CPU, is_small=True), "a GPU"),
    ],
)
def test_what_would_not_help_is_not_advised(shares, setup, useless) -> None:
    assert useless not in verdict(shares, setup).text


def test_at_once_the_side_that_waits_less_is_the_slower_one() -> None:
    """Shares of two processes: the greatest of all says nothing of who waits for whom."""
    shares = TimeShares(
        environments=0.7, inference=0.25, learning=0.5, waited_for_actor=0.5, waited_for_learner=0.0
    )
    assert limit_of(shares) == "environments"
    assert "learner waited 50 %, actor waited 0 %" in verdict(shares, GPU).text
    behind = replace(shares, learning=0.6, communication=0.3)
    behind = replace(behind, waited_for_actor=0.0, waited_for_learner=0.2)
    assert limit_of(behind) == "learner"
    assert limit_of(replace(behind, learning=0.3, communication=0.6)) == "communication"


def test_shares_come_from_the_sections_of_an_interval() -> None:
    seconds = {"env": 4, "inference": 1, "wait": 2, "learn": 5, "communication": 1}
    parallel = TimeShares.of(seconds, wall_s=10, has_workers=True)
    assert parallel == TimeShares(0.2, 0.1, 0.4, communication=0.1, workers_busy=0.4)
    serial = TimeShares.of(seconds, wall_s=10, has_workers=False)
    assert serial.environments == 0.4
    waits = {"learn": 5, "learner_wait": 4, "actor_wait": 1}
    overlapped = TimeShares.of(waits, wall_s=10, has_workers=True)
    assert (overlapped.waited_for_actor, overlapped.waited_for_learner) == (0.4, 0.1)


def split(learn: float, wait: float) -> TimeSplit:
    """Thirty seconds, of which so many went into these."""
    return TimeSplit(30.0, {"learn": learn, "wait": wait}, {})


def test_a_verdict_is_told_after_a_minute_and_when_two_minutes_agree_on_another() -> None:
    watch = LimitWatch(CPU)
    learner, environments = split(learn=20, wait=10), split(learn=10, wait=20)
    told = []
    for interval in (environments, *[learner] * 4, *[environments] * 2, *[learner] * 2):
        told.append(watch.add(interval))
    assert [verdict and verdict.limit for verdict in told] == [None, None, "learner"] + [None] * 6
    told = [watch.add(environments) for _ in range(6)]
    limits = [verdict and verdict.limit for verdict in told]
    assert limits == [None, None, None, "environments", None, None]


def test_the_verdict_of_a_run_leaves_out_its_first_interval_if_there_are_more() -> None:
    watch = LimitWatch(CPU)
    assert watch.of_run() is None
    watch.add(split(learn=0, wait=30))
    assert watch.of_run().limit == "environments"
    watch.add(split(learn=16, wait=14))
    assert watch.of_run().limit == "learner"


def test_evaluations_do_not_count() -> None:
    watch = LimitWatch(CPU)
    watch.add(split(learn=10, wait=5), elsewhere_s=10)
    assert "50 % of the time (environments 25 %)" in watch.of_run().text
