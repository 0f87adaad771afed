"""Draws a timeline: who did what when, over whole iterations and over a few steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from accel.runs.atomic import replacing
from accel.runs.timeline import tracks
from accel.types import Span

# Okabe and Ito's colors, as in `picture.py`; waiting is pale.
_COLORS = {
    "forward and backward": "#0072B2",
    "optimizer": "#CC79A7",
    "inference": "#D55E00",
    "wait": "#D9D9D9",
    "step, group 0": "#009E73",
    "step, group 1": "#56B4E9",
}
_OTHER = "#F0E442"
_DARK = "#222222"
_STEPS_SHOWN = 6  # of each group, in the lower panel


def save_timeline(path: Path, spans: Sequence[Span], title: str) -> None:
    """Draw `spans` and replace `path`; its ending chooses the format."""
    figure = draw_timeline(spans, title)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip("."), dpi=160, facecolor="white")


def draw_timeline(spans: Sequence[Span], title: str) -> Figure:
    """A panel of all `spans`, and one of a few steps in the middle of the first sampling."""
    rows = tracks(spans)
    figure = Figure(figsize=(11, 1.6 + 0.6 * len(rows)), layout="constrained")
    whole, few = figure.subplots(2, 1)
    first, last = min(s.start_s for s in spans), max(s.end_s for s in spans)
    for axes, (start, end) in ((whole, (first, last)), (few, _few_steps(spans))):
        _draw(axes, [s for s in spans if s.end_s >= start and s.start_s <= end], rows, first)
        axes.set_xlim(1e3 * (start - first), 1e3 * (end - first))
    few.set_xlabel("milliseconds")
    names = [name for name in _COLORS if any(span.name == name for span in spans)]
    others = sorted({span.name for span in spans} - _COLORS.keys())
    handles = [Patch(color=_COLORS.get(name, _OTHER), label=name) for name in [*names, *others]]
    figure.legend(handles=handles, loc="outside lower left", ncols=8, frameon=False, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=_DARK)
    return figure


def _few_steps(spans: Sequence[Span]) -> tuple[float, float]:
    """Start and end of some steps of all groups, away from the rollout's ends."""
    served = sorted(span.start_s for span in spans if span.name == "inference")
    num_groups = len({span.track for span in spans if span.name == "inference"})
    shown = min(len(served) - 1, _STEPS_SHOWN * num_groups)
    start = (len(served) - shown) // 8
    return served[start], served[start + shown]


def _draw(axes: Axes, spans: Sequence[Span], rows: Sequence[str], origin: float) -> None:
    """A row of bars for each track, the first on top; without edges, which would hide thin ones."""
    for number, track in enumerate(rows):
        own = [span for span in spans if span.track == track]
        axes.broken_barh(
            [(1e3 * (s.start_s - origin), 1e3 * (s.end_s - s.start_s)) for s in own],
            (number - 0.4, 0.8),
            facecolors=[_COLORS.get(span.name, _OTHER) for span in own],
            linewidth=0,
            snap=False,  # bars thinner than a pixel then give it their share of color
        )
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), rows)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(labelsize=9, colors=_DARK)
