"""Draw learning curves: `python launch/plot.py runs=DIR output=FILE.png`, or --help."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(composed: DictConfig) -> None:
    """Check the settings, draw, and say where the picture is."""
    from accel.config.commands import PlotConfig
    from accel.runners.cli import load_command

    config = load_command(composed, PlotConfig)

    from accel.runners.plot_runs import plot_runs

    print(plot_runs(config))


def main() -> None:
    """Entry point."""
    from accel.config.commands import PlotConfig
    from accel.runners.cli import hydra_entry

    hydra_entry("plot", run, schema=PlotConfig)


if __name__ == "__main__":
    main()
