"""Evaluate a trained agent: `python launch/evaluate.py run=DIR episodes=100`, or --help."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(composed: DictConfig) -> None:
    """Check the settings before torch is loaded, then play."""
    from accel.config.commands import EvaluateConfig
    from accel.runners.cli import load_command

    config = load_command(composed, EvaluateConfig)

    from accel.runners.evaluate_run import evaluate_run

    evaluate_run(config)


def main() -> None:
    """Entry point."""
    from accel.config.commands import EvaluateConfig
    from accel.runners.cli import hydra_entry

    hydra_entry("evaluate", run, schema=EvaluateConfig)


if __name__ == "__main__":
    main()
