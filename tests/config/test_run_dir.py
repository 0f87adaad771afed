"""Run folders: the same command finds its own, other runs land elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accel.config.run_dir import run_dir, swept_keys
from accel.config.schema import Config

Compose = Callable[..., Config]


def folder(make_config: Compose, *overrides: str, swept: set[str] | None = None) -> str:
    experiment = next((o.split("=")[1] for o in overrides if o.startswith("experiment=")), None)
    return run_dir(make_config(*overrides), experiment, overrides, swept or set())


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "results/runs/ppo_pong/seed0"),
        (["experiment=pong_quick"], "results/runs/pong_quick/seed0"),
        (["env.game=breakout", "seed=3"], "results/runs/ppo_breakout/seed3"),
        (["env.game=ALE/MsPacman-v5"], "results/runs/ppo_ms_pacman/seed0"),
        (["algo=a2c"], "results/runs/a2c_pong/seed0"),
        (["env=gym", "model=mlp"], "results/runs/ppo_CartPole-v1/model=mlp/seed0"),
        (["algo.learning_rate=1e-3"], "results/runs/ppo_pong/learning_rate=0.001/seed0"),
        (["algo.learning_rate=0.001"], "results/runs/ppo_pong/learning_rate=0.001/seed0"),
        (["results_root=elsewhere"], "elsewhere/ppo_pong/seed0"),
        (["run_dir=here"], "here"),
        (
            ["model=impala_cnn", "algo.clip_range=0.2"],
            "results/runs/ppo_pong/clip_range=0.2,model=impala_cnn/seed0",
        ),
        (
            ["experiment=pong_quick", "env.game=breakout"],
            "results/runs/pong_quick/game=breakout/seed0",
        ),
        (["experiment=pong", "algo=a2c"], "results/runs/pong/algo=a2c/seed0"),
        (["fork=elsewhere@12"], "results/runs/ppo_pong/fork=elsewhere@12/seed0"),
    ],
)
def test_names(overrides: list[str], expected: str, make_config: Compose) -> None:
    assert folder(make_config, *overrides) == expected


@pytest.mark.parametrize(
    "override",
    [
        "device=cpu",
        "resume=must",
        "overwrite=true",
        "total_agent_steps=20000000",
        "stop_at_return=18",
        "log_interval_s=1",
        "checkpoint_interval_s=1",
        "sampler=serial",
        "sampler.num_workers=1",
        "hardware.actor_threads=1",
        "hardware.cuda_graphs=false",
        "env.frames=device",
    ],
)
def test_what_does_not_change_the_learning_does_not_change_the_folder(
    override: str, make_config: Compose
) -> None:
    assert folder(make_config, override) == folder(make_config)


def test_order_does_not_matter_and_the_last_of_equal_keys_counts(make_config: Compose) -> None:
    one = folder(make_config, "algo.clip_range=0.3", "env.protocol=classic", "algo.clip_range=0.2")
    other = folder(make_config, "env.protocol=classic", "algo.clip_range=0.2")
    assert one == other


@pytest.mark.parametrize(
    "values",
    [
        ["seed=0", "seed=1"],
        ["env.game=pong", "env.game=breakout"],
        ["algo=ppo", "algo=a2c"],
        ["device=cpu", "device=auto"],
        ["total_agent_steps=2000000", "total_agent_steps=3000000"],
        ["stop_at_return=18", "stop_at_return=20"],
        ["sampler=serial", "sampler=parallel"],
        ["algo.target_kl=null", "algo.target_kl=0.01"],
        ["experiment=pong", "experiment=breakout"],
    ],
)
@pytest.mark.parametrize("fixed", [[], ["experiment=pong"]])
def test_a_sweep_over_any_key_never_shares_a_folder(
    values: list[str], fixed: list[str], make_config: Compose
) -> None:
    if fixed and values[0].startswith("experiment"):
        fixed = []
    swept = {values[0].split("=")[0]}
    folders = [folder(make_config, *fixed, value, swept=swept) for value in values]
    assert len(set(folders)) == len(values)


def test_a_sweep_finds_the_folders_of_single_runs(make_config: Compose) -> None:
    words = ["-m", "device=cpu", "seed=0,1", "+note=[1,2]"]
    assert swept_keys(words) == {"seed"}
    swept = folder(make_config, "device=cpu", "seed=1", swept={"seed"})
    assert swept == folder(make_config, "seed=1")


def test_odd_characters_make_valid_and_distinct_names(make_config: Compose) -> None:
    config = make_config()
    one = run_dir(config, None, ["+note='a/b'"])
    other = run_dir(config, None, ["+note='a b'"])
    assert one != other
    assert one.count("/") == other.count("/") == "results/runs/x/note/seed0".count("/")


def test_forks_of_different_checkpoints_have_different_folders(make_config: Compose) -> None:
    parents = ("results/runs/a/seed0@5", "results/runs/a_seed0@5", "results/runs/a/seed0@7")
    folders = {folder(make_config, f"fork='{parent}'") for parent in parents}
    assert len(folders) == len(parents)
    assert any("/fork=a_seed0@5-" in name for name in folders)


def test_long_names_are_cut_and_told_apart(make_config: Compose) -> None:
    names = [run_dir(make_config(), None, [f"+note={'x' * 300}{end}"]) for end in "ab"]
    assert names[0] != names[1]
    assert all(len(part) <= 255 for name in names for part in name.split("/"))


def test_no_key_can_climb_out_of_the_results(make_config: Compose) -> None:
    assert ".." not in run_dir(make_config(), "..", []).split("/")
