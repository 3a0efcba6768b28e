"""A plan of buckets as a figure; matplotlib is imported here and nowhere else."""

from typing import TYPE_CHECKING

import numpy as np

from maskdata.data import _check

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from maskdata.data._buckets import BucketPlan

STEPS, PADDING, END = "#4477aa", "#ee8866", "#666666"


def plot_buckets(plan: "BucketPlan") -> "Figure":
    """Return a figure: how long the rows are and where the buckets end; steps and padding of each."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        remedy = "pip install maskdata[plot]"
        _check.refuse("BucketPlan.plot", "matplotlib must be installed", error, remedy, ImportError)
    figure = Figure(figsize=(8, 6), layout="constrained")
    lengths, waste = figure.subplots(2)
    figure.suptitle(
        f"{plan.num_batches:,} batches of {plan.num_shapes} lengths, "
        f"{1 - plan.efficiency:.1%} padding"
    )
    _draw_lengths(lengths, plan)
    _draw_padding(waste, plan)
    for axes in (lengths, waste):
        axes.yaxis.set_major_formatter("{x:,.0f}")
    return figure


def _draw_lengths(axes: "Axes", plan: "BucketPlan") -> None:
    lengths, rows = np.array(plan.histogram).T
    width = max(1.0, float(np.ptp(lengths)) / 128)
    edges = np.arange(lengths[0], lengths[-1] + 2 * width, width)
    axes.hist(lengths, edges.tolist(), weights=rows, color=STEPS)
    for longest in plan.longest:
        axes.axvline(longest + 1, color=END, linewidth=0.8, linestyle="--")
    axes.set(xlabel=f"steps of a row{_of(plan.feature)}; lines where a bucket ends", ylabel="rows")


def _draw_padding(axes: "Axes", plan: "BucketPlan") -> None:
    places = [f"{longest:,}" for longest in plan.longest]
    steps = np.array([bucket.steps for bucket in plan.buckets])
    padding = np.array([bucket.slots for bucket in plan.buckets]) - steps
    axes.bar(places, steps, color=STEPS, label="steps")
    bars = axes.bar(places, padding, bottom=steps, color=PADDING, label="padding")
    axes.bar_label(bars, [f"{bucket.padding:.0%}" for bucket in plan.buckets], padding=2)
    axes.set(xlabel=f"padded length of the bucket{_of(plan.feature)}", ylabel="slots")
    axes.margins(y=0.15)
    axes.legend()


def _of(feature: str | None) -> str:
    return f" of {feature}" if feature else ""
