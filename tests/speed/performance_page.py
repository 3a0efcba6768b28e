"""What was measured -> the tables of docs/performance.md, between their marks."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.speed.compare import Result
from tests.speed.scale import Reading


def write_region(page: Path, name: str, lines: Iterable[str]) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`; all else stays."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    region = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    text = "\n".join([start, *lines, end])
    changed, times = region.subn(lambda _: text, page.read_text())
    if times != 1:
        raise ValueError(f"{page} must have one region {name!r}, has {times}")
    page.write_text(changed)


def table(align: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table in Markdown; `align` has an l or an r for each column."""
    rule = ["--:" if side == "r" else "---" for side in align]
    lines = [[cell.replace("|", r"\|") for cell in cells] for cells in (header, rule, *rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def table_of_results(results: Sequence[Result], ours: Sequence[str], num_rows: int) -> list[str]:
    """Tell what each contender did, and how many times faster each of ours is."""
    header = ["", "rows a second", "real steps", "lengths", "shapes"]
    header += [f"{name.removeprefix('maskdata, ')} is faster by" for name in ours]
    header += ["what differs; the fastest setting"]
    rows = []
    for result in results:
        name = f"**{result.name}**" if result.name in ours else result.name
        if result.problem:
            rows.append([name, *["-"] * (len(header) - 2), f"**no result: {result.problem}**"])
            continue
        batches = ["-"] * 3
        if summary := result.summary:
            batches = [f"{summary.efficiency:.0%}", f"{summary.lengths:,}", f"{summary.shapes:,}"]
        faster = [_number(times_faster(results, each, result.name)) for each in ours]
        differs = "; ".join(filter(None, [result.differs, result.setting]))
        rows.append([name, f"{num_rows / result.median:,.0f}", *batches, *faster, differs])
    return table("lrrrr" + "r" * len(ours) + "l", header, rows)


def times_faster(results: Sequence[Result], fast: str, slow: str) -> float | None:
    """Return how many times faster one contender is than another; None if one has no result."""
    median = {result.name: result.median for result in results if not result.problem}
    return median[slow] / median[fast] if fast in median and slow in median else None


def _number(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}" if ratio < 1 else f"{ratio:.1f}"


class Target(NamedTuple):
    """A ratio that was promised, and what came of it."""

    ours: str
    theirs: str
    measured: float | None
    bound: float
    at_least: bool = True

    def cells(self) -> list[str]:
        bound = f"{'at least' if self.at_least else 'at most'} {self.bound:g}"
        if self.measured is None:
            return [self.ours, self.theirs, bound, "-", "**not measured**"]
        holds = self.measured >= self.bound if self.at_least else self.measured <= self.bound
        return [self.ours, self.theirs, bound, f"{self.measured:.2f}", "yes" if holds else "**no**"]


def table_of_targets(targets: Iterable[Target]) -> list[str]:
    header = ["", "against", "target", "measured", "holds"]
    return table("llrrl", header, [target.cells() for target in targets])


def table_of_scale(readings: Iterable[Reading]) -> list[str]:
    header = ["rows", "seconds", "MiB before the first row", "MiB at the peak"]
    cells = [
        [f"{r.rows:,.0f}", f"{r.seconds:.1f}", f"{r.mib_before:,.0f}", f"{r.peak_mib:,.0f}"]
        for r in readings
    ]
    return table("rrrr", header, cells)
