"""Draws learning curves: one panel against agent steps, one against wall time."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from accel.runs.atomic import replacing
from accel.runs.curves import AGENT_STEPS, WALL_TIME, Curve, band

# Okabe and Ito's colors, which color-blind readers tell apart; in the order of contrast.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DARK, _GRAY = "#222222", "#666666"
_LEGEND_CHARS = 120  # what fits on a line below the panels
_HOUR_S, _MINUTE_S = 3600.0, 60.0


@dataclass(frozen=True)
class Experiment:
    """Runs that differ by their seed alone, drawn as one curve."""

    label: str
    curves: list[Curve]


@dataclass(frozen=True)
class Captions:
    """The words around the curves."""

    title: str
    subtitle: str
    values: str  # what the curves show
    agent_steps: str = "agent steps"
    machine: str = ""  # what the wall time was taken on; empty where machines differ


def save_picture(path: Path, experiments: Sequence[Experiment], captions: Captions) -> None:
    """Draw the experiments and replace `path`; its ending chooses the format."""
    figure = draw(experiments, captions)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip("."), dpi=160, facecolor="white")


def draw(experiments: Sequence[Experiment], captions: Captions) -> Figure:
    """A figure of two panels that share their vertical axis."""
    legend_lines = sum(1 + len(e.label) // _LEGEND_CHARS for e in experiments)
    figure = Figure(figsize=(10, 4.1 + 0.2 * legend_lines), layout="constrained")
    steps, wall = figure.subplots(1, 2, sharey=True)
    divisor, unit = _time_unit(experiments)
    for experiment, color in zip(experiments, _cycle(len(experiments))):
        _draw_experiment(steps, experiment, AGENT_STEPS, 1.0, color)
        _draw_experiment(wall, experiment, WALL_TIME, divisor, color)
    for axes in (steps, wall):
        _style(axes)
    steps.xaxis.set_major_formatter(EngFormatter(sep=""))
    steps.set_xlabel(captions.agent_steps)
    steps.set_ylabel(captions.values)
    wall.set_xlabel(f"wall time, {unit}" + (f" ({captions.machine})" if captions.machine else ""))
    _legend(figure, steps, len(experiments))
    steps.set_title(captions.subtitle, loc="left", fontsize=9.5, color=_GRAY, pad=10)
    title = figure.suptitle(captions.title, ha="left", fontsize=14, weight="bold", color=_DARK)
    figure.draw_without_rendering()  # lays the panels out, so that the title can stand above them
    title.set_x(steps.get_position().x0)
    return figure


def _draw_experiment(
    axes: Axes, experiment: Experiment, axis: str, divisor: float, color: str
) -> None:
    """Each run as a thin line; of several runs, their mean in a band from least to greatest."""
    shared = band(experiment.curves, axis) if len(experiment.curves) > 1 else None
    legend = textwrap.fill(experiment.label, _LEGEND_CHARS)
    thin = {"linewidth": 0.8, "alpha": 0.35} if shared else {"linewidth": 1.8}
    for number, curve in enumerate(experiment.curves):
        label = legend if shared is None and number == 0 else None
        places = curve.against(axis) / divisor
        axes.plot(places, curve.values, color=color, label=label, solid_capstyle="round", **thin)
    if shared:
        places = shared.places / divisor
        axes.fill_between(places, shared.low, shared.high, color=color, alpha=0.18, linewidth=0)
        axes.plot(places, shared.mean, color=color, linewidth=2.0, label=legend)


def _time_unit(experiments: Sequence[Experiment]) -> tuple[float, str]:
    longest = max(curve.wall_time_s[-1] for e in experiments for curve in e.curves)
    if longest >= 2 * _HOUR_S:
        return _HOUR_S, "hours"
    return (_MINUTE_S, "minutes") if longest >= 2 * _MINUTE_S else (1.0, "seconds")


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    axes.set_xlim(left=0)
    axes.tick_params(colors=_DARK, labelsize=9.5, length=3)


def _legend(figure: Figure, axes: Axes, count: int) -> None:
    """Below the panels, where no curve can run into it."""
    handles, labels = axes.get_legend_handles_labels()
    columns = int(np.clip(_LEGEND_CHARS // max(map(len, labels)), 1, count))
    figure.legend(
        handles, labels, loc="outside lower left", ncols=columns, frameon=False, fontsize=9.5
    )


def _cycle(count: int) -> list[str]:
    return [_COLORS[i % len(_COLORS)] for i in range(count)]
