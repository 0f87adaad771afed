"""Film a trained agent playing one game: `python launch/play.py run=DIR`, or --help."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(composed: DictConfig) -> None:
    """Check the settings before torch is loaded, then film a game."""
    from accel.config.commands import PlayConfig
    from accel.runners.cli import load_command

    config = load_command(composed, PlayConfig)

    from accel.runners.play_run import play_run

    play_run(config)


def main() -> None:
    """Entry point."""
    from accel.config.commands import PlayConfig
    from accel.runners.cli import hydra_entry

    hydra_entry("play", run, schema=PlayConfig)


if __name__ == "__main__":
    main()
