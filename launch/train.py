"""Train an agent: `python launch/train.py experiment=pong_quick`, or --help.

Nothing is imported before main(): worker processes import this file again when they start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from accel.config.schema import Config


def run(composed: DictConfig) -> None:
    """Check the whole config before torch is loaded, then train."""
    from accel.runners.cli import load_config
    from accel.runners.ranks import start_ranks

    config = load_config(composed)
    if start_ranks(config):
        return  # they have done it

    from accel.runners.train import train

    train(config)


def check(composed: DictConfig) -> Config:
    """Look for mistakes without training: done for every run of a sweep before the first."""
    from accel.runners.cli import load_config

    return load_config(composed)


def main() -> None:
    """Entry point."""
    from accel.runners.cli import hydra_entry

    hydra_entry("train", run, check)


if __name__ == "__main__":
    main()
