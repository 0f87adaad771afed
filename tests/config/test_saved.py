"""A manifest's config becomes the dataclasses again."""

from __future__ import annotations

import dataclasses
import json

import pytest

from accel.config.errors import UserError
from accel.config.saved import config_from_dict


@pytest.mark.parametrize("algo", ["ppo", "a2c", "impala", "pqn", "rainbow"])
def test_a_saved_config_comes_back_equal(algo: str, make_config) -> None:
    config = make_config(f"algo={algo}", "env.max_noops=3", "seed=7")
    saved = json.loads(json.dumps(dataclasses.asdict(config)))
    assert config_from_dict(saved) == config


def test_keys_of_later_versions_take_their_defaults(make_config) -> None:
    saved = dataclasses.asdict(make_config())
    del saved["eval_episodes"], saved["env"]["difficulty"]
    assert config_from_dict(saved) == make_config()


def test_what_this_version_cannot_honor_is_refused(make_config) -> None:
    saved = dataclasses.asdict(make_config())
    saved["env"]["flavour"] = "sweet"
    with pytest.raises(UserError, match="flavour"):
        config_from_dict(saved)
    with pytest.raises(UserError, match=r"incomplete.*discount"):
        saved = dataclasses.asdict(make_config())
        del saved["algo"]["discount"]
        config_from_dict(saved)
    with pytest.raises(UserError, match="muzero"):
        config_from_dict({"algo": {"name": "muzero"}})
