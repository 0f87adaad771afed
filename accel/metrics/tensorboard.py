"""TensorBoard curves. The one file of this room that imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

# Tags that belong in one picture, for the "Custom Scalars" tab; TensorBoard reads them as patterns.
_LAYOUT = {
    "overview": {
        "return": ["Multiline", ["charts/episodic_return", "eval/episodic_return"]],
        "losses": ["Multiline", ["losses/.*"]],
        "speed": ["Multiline", ["charts/SPS"]],
        "time split (%)": ["Multiline", ["stats/.*_percent"]],
    }
}


class TensorBoardWriter:
    """Writes scalars to event files in `log_dir`; on resume hides those beyond `resume_step`."""

    def __init__(self, log_dir: Path, *, resume_step: int | None = None) -> None:
        """Open a new event file. `resume_step`: agent steps to go on from, None for a new run."""
        self._first_step = resume_step or 0
        # TensorBoard drops events at or after purge_step, but the one at resume_step still holds.
        purge_step = None if resume_step is None else resume_step + 1
        self._writer = SummaryWriter(str(log_dir), purge_step=purge_step)
        self._writer.add_custom_scalars(_LAYOUT)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Show a nested config as a table under "Text"."""
        rows = [f"|{key}|{value}|" for key, value in _flatten(config)]
        table = "\n".join(["|key|value|", "|-|-|", *rows])
        self._writer.add_text("config", table, self._first_step)

    def write(self, metrics: Mapping[str, float], agent_steps: int) -> None:
        """Add one point to each curve and flush, so that a killed run shows its end."""
        for tag, value in metrics.items():
            self._writer.add_scalar(tag, value, agent_steps)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _flatten(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Dotted keys and printable values, safe inside a Markdown table."""
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            rows.extend(_flatten(value, f"{prefix}{key}."))
        else:
            rows.append((f"{prefix}{key}", str(value).replace("|", "\\|").replace("\n", " ")))
    return rows
