"""What a setting that was left open has meant since its run began, and still means on a resume.

What null stands for may change from one version to the next. A run must not learn one thing before
and another after it was stopped, so the manifest keeps the meaning beside the config.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from accel.config.derive import Derived
from accel.config.errors import UserError
from accel.config.saved import config_from_dict
from accel.config.schema import Config
from accel.learning.sync import Alone
from accel.runs.differences import config_differences
from accel.runs.folder import RunFolder


def as_begun(config: Config, derived: Derived, folder: RunFolder | None, team: Alone) -> Derived:
    """`derived`, with what this run's beginning has settled.

    The first rank knows that, which has the `folder`; the others hear of it.
    """
    clipped = team.gather(_clipped_so_far(config, folder))[0]
    if clipped in (None, derived.clip_rewards):
        return derived
    reasons = {**derived.reasons, "clip_rewards": "as when this run began"}
    return replace(derived, clip_rewards=clipped, reasons=reasons)


def meanings(derived: Derived) -> dict[str, Any]:
    """What the manifest keeps for `as_begun`."""
    return {"clip_rewards": derived.clip_rewards}


def changes_since_begun(folder: RunFolder, settings: Mapping[str, Any]) -> dict[str, str]:
    """Dotted key to `old -> new` of the settings that this run had otherwise until now.

    A key that came with a later version had its default all along.
    """
    saved = folder.manifest.data.get("config")
    if saved is None:
        return {}
    with suppress(UserError):  # of a version with other keys: they are told as they stand
        saved = asdict(config_from_dict(saved))
    return config_differences(saved, settings)


def _clipped_so_far(config: Config, folder: RunFolder | None) -> bool | None:
    """Whether rewards were clipped before the checkpoint that the run goes on from.

    None where there is no such checkpoint, or where the key was set, then or now.
    """
    if folder is None or folder.resume_step is None or config.env.clip_rewards is not None:
        return None
    data = folder.manifest.data
    env = data["config"]["env"]
    if env.get("clip_rewards") is not None:
        return None
    before = env["kind"] == "atari"  # the rule of manifests that do not say
    return data.get("meanings", {}).get("clip_rewards", before)
