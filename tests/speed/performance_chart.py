"""What was measured -> docs/performance.svg."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.speed.compare import Result

OURS, OTHERS = "tab:blue", "tab:gray"


def draw(path: Path, works: Mapping[str, Sequence[Result]], num_rows: int) -> None:
    """Draw rows a second, dots on a logarithmic axis, with a panel for each work."""
    panels = {title: [r for r in results if not r.problem] for title, results in works.items()}
    sizes = [len(results) for results in panels.values()]
    figure = Figure(figsize=(9, 1 + 0.3 * sum(sizes)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, height_ratios=sizes, squeeze=False)[:, 0]
    for axis, (title, results) in zip(axes, panels.items(), strict=True):
        results = sorted(results, key=lambda result: result.median, reverse=True)
        rates = [num_rows / result.median for result in results]
        colors = [OURS if result.name.startswith("maskdata") else OTHERS for result in results]
        axis.scatter(rates, [result.name for result in results], c=colors)
        for place, (rate, result) in enumerate(zip(rates, results, strict=True)):
            real = f", {result.summary.efficiency:.0%} real" if result.summary else ""
            axis.annotate(f"   {rate:,.0f}{real}", (rate, place), va="center", fontsize=8)
        axis.set_title(title, loc="left", fontsize=10)
        axis.grid(axis="x", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set(xscale="log", xlabel="rows a second, and how much of the batches is real steps")
    left, right = axes[-1].get_xlim()
    axes[-1].set_xlim(left, right * 4)  # room for the last label
    # The same measurements give the same file: no date, no random ids; text stays text.
    with mpl.rc_context({"svg.hashsalt": "maskdata", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
