"""profile=true: what each process did in two iterations, in the run's folder."""

import errno
import json
from collections import Counter
from itertools import pairwise

import pytest

from accel.runners import profile
from accel.runners.profile import COUNT, FIRST
from accel.runners.train import train
from accel.runs.reading import read_manifest

TINY = (
    "env=gym", "env.game=CartPole-v1", "model=mlp", "model.hidden_size=8", "algo.rollout_length=4",
    "sampler=parallel", "sampler.num_envs=4", "sampler.num_workers=2", "profile=true",
)  # fmt: skip
ENOUGH = f"total_agent_steps={16 * (FIRST + COUNT)}"


def spans_of(run):
    """Name, track, start and end in microseconds of every span of a profile."""
    events = json.loads((run / "profile.json").read_text())["traceEvents"]
    tracks = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    return [
        (e["name"], tracks[e["tid"]], e["ts"], e["ts"] + e["dur"]) for e in events if e["ph"] == "X"
    ]


def test_a_profile_shows_every_step_and_every_update(make_config, tmp_path, capsys) -> None:
    run = tmp_path / "run"
    ppo = ("algo=ppo", "algo.num_epochs=2", "algo.num_minibatches=2")
    train(make_config(*TINY, *ppo, ENOUGH, run_dir=run))
    counts = Counter((track, name) for name, track, _, _ in spans_of(run))
    for group in range(2):
        actor = f"actor, group {group}"
        assert counts[actor, "inference"] == COUNT * (4 + 1)  # and the bootstrap values
        assert counts[actor, "wait"] == COUNT * 4
        for worker in range(2):
            assert counts[f"worker {worker}", f"step, group {group}"] == COUNT * 4
    assert counts["learner", "forward and backward"] == counts["learner", "optimizer"] == COUNT * 4
    assert (run / "profile.png").exists()
    assert "profile.json and profile.png are in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lag", "num_ahead"), [("1", 1), pytest.param("free", 2, marks=pytest.mark.slow)]
)
def test_what_is_played_beside_the_updates_is_shown(
    lag: str, num_ahead: int, make_config, tmp_path
) -> None:
    """The rollouts played during the first updates shown are those of later ones."""
    run, count = tmp_path / "run", COUNT + num_ahead
    enough = f"total_agent_steps={16 * (FIRST + count)}"
    train(make_config(*TINY, "algo=ppo", f"runner.policy_lag={lag}", enough, run_dir=run))
    counts = Counter((track, name) for name, track, _, _ in spans_of(run))
    assert counts["learner", "metrics"] == count
    assert counts["actor, group 0", "inference"] == count * (4 + 1)


def test_who_does_one_thing_at_a_time_and_all_clocks_agree(make_config, tmp_path) -> None:
    run = tmp_path / "run"
    train(make_config(*TINY, ENOUGH, run_dir=run))
    spans = spans_of(run)
    for who in ("learner", "actor", "worker 0"):
        own = sorted((start, end) for _, track, start, end in spans if track.startswith(who))
        assert all(end <= start + 0.01 for (_, end), (start, _) in pairwise(own)), who
    acting = sorted((start, end) for name, _, start, end in spans if name == "inference")
    for name, track, start, end in spans:
        if track.startswith("worker"):  # a step lies between the choice of its actions and the next
            assert acting[0][0] < start < end < acting[-1][1], name


def test_a_run_too_short_to_profile_says_so(make_config, tmp_path, capsys) -> None:
    run = tmp_path / "run"
    train(make_config(*TINY, "total_agent_steps=40", run_dir=run))
    assert not (run / "profile.json").exists()
    assert "before there was anything to profile: it takes 7 updates" in capsys.readouterr().out


def test_a_profile_that_cannot_be_written_does_not_end_the_run(
    make_config, tmp_path, capsys, monkeypatch
) -> None:
    def no_room(path, spans) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(profile, "save_trace", no_room)
    train(make_config(*TINY, ENOUGH, run_dir=tmp_path / "run"))
    shown = " ".join(capsys.readouterr().out.split())
    assert "profile=true: [Errno 28] No space left on device. Training goes on" in shown
    assert read_manifest(tmp_path / "run").data["status"] == "finished"


def test_a_replay_that_fills_up_is_not_profiled(make_config, tmp_path) -> None:
    run = tmp_path / "run"
    small = ("algo.learning_starts=300", "algo.replay_capacity=1000", "algo.batch_size=8")
    train(make_config("algo=dqn", *small, *TINY, "total_agent_steps=600", run_dir=run))
    names = Counter(name for name, track, _, _ in spans_of(run) if track == "learner")
    assert names["optimizer"] >= COUNT and names["metrics"] == COUNT
