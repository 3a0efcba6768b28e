"""A plan of buckets: what it says, as a value, a table and a plot."""

import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
from rich.console import Group
from rich.table import Table

from maskdata._tables import as_text
from maskdata.data._packed_rows import PackedRows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclass(frozen=True)
class Bucket:
    """One bucket of a plan.

    Attributes:
        lengths: The padded length of each feature, in steps.
        cost: What one padded row costs.
        batch_size: The rows of a full batch.
        rows: How many rows of the data go here.
        steps: How many real steps they have, of all features together.
    """

    lengths: tuple[int, ...]
    cost: float
    batch_size: int
    rows: int
    steps: int

    @property
    def slots(self) -> int:
        """Real steps and padding: what the model computes."""
        return self.rows * sum(self.lengths)

    @property
    def padding(self) -> float:
        """The share of the slots that is padding."""
        return 1 - self.steps / self.slots

    @property
    def num_batches(self) -> int:
        """Batches in an epoch; the last one may have fewer rows."""
        return math.ceil(self.rows / self.batch_size)


@final
@dataclass(frozen=True)
class BucketPlan:
    """Buckets for given row lengths; `print` it for a table. Plans are equal if they say the same.

    Attributes:
        feature: The feature by whose length a row goes to its bucket; None for a plain array.
        features: All features that are padded, `feature` among them; empty for a plain array.
        buckets: A `Bucket` for each, the shortest first.
        histogram: Pairs of a length of `feature` and how many rows have it, the shortest first.
        sample: The row lengths of each feature of at most 4,096 rows, for the estimate of `packed`.
    """

    feature: str | None
    features: tuple[str, ...]
    buckets: tuple[Bucket, ...]
    histogram: tuple[tuple[int, int], ...] = field(repr=False)
    sample: tuple[tuple[int, ...], ...] = field(repr=False)

    @property
    def longest(self) -> tuple[int, ...]:
        """The padded length of each bucket in the feature that decides."""
        deciding = self.features.index(self.feature) if self.feature else 0
        return tuple(bucket.lengths[deciding] for bucket in self.buckets)

    @property
    def bucket_boundaries(self) -> tuple[int, ...]:
        """As in `BucketBySequenceLength`: the first length that is too long, for all but the last."""
        return tuple(length + 1 for length in self.longest[:-1])

    @property
    def bucket_batch_sizes(self) -> tuple[int, ...]:
        """As in `BucketBySequenceLength`: the rows of a batch of each bucket."""
        return tuple(bucket.batch_size for bucket in self.buckets)

    @property
    def lengths(self) -> Any:
        """As in `ToDense`: by feature if it has a name, of several features together."""
        if len(self.features) > 1:
            return {self.features: [bucket.lengths for bucket in self.buckets]}
        return {self.feature: list(self.longest)} if self.feature else list(self.longest)

    @property
    def efficiency(self) -> float:
        """The share of the slots that is real steps."""
        return sum(b.steps for b in self.buckets) / sum(b.slots for b in self.buckets)

    @property
    def num_batches(self) -> int:
        """Batches in an epoch: the steps of `fit`."""
        return sum(bucket.num_batches for bucket in self.buckets)

    @property
    def num_shapes(self) -> int:
        """How many padded lengths there are; the last batch of each may also have fewer rows."""
        return len(self.buckets)

    @property
    def packed(self) -> PackedRows:
        """What `Pack` would make of the same rows, in packed rows of the longest lengths; about."""
        longest = tuple(map(max, zip(*(bucket.lengths for bucket in self.buckets), strict=True)))
        num_rows = sum(bucket.rows for bucket in self.buckets)
        steps = sum(bucket.steps for bucket in self.buckets)
        sample = np.array(self.sample, np.int64)
        return PackedRows.estimate(sample, longest, num_rows=num_rows, steps=steps)

    def plot(self, path: str | os.PathLike[str] | None = None) -> "Figure":
        """Draw the lengths, the buckets and the padding of each; write it to `path` if given.

        Needs matplotlib: `pip install maskdata[plot]`.
        """
        from maskdata._plots import plot_buckets

        figure = plot_buckets(self)
        if path is not None:
            figure.savefig(path)
        return figure

    def __rich__(self) -> Group:
        rows = sum(bucket.rows for bucket in self.buckets)
        by = f" by {self.feature}" if self.feature else ""
        title = f"{rows:,} rows in {self.num_batches:,} batches of {self.num_shapes} lengths{by}"
        table = Table(title=title, title_justify="left", show_footer=True)
        names = [f"longest {name}" for name in self.features] if self.features[1:] else ["longest"]
        totals = [f"{rows:,}", f"{self.num_batches:,}", f"{1 - self.efficiency:.1%}"]
        footers = ["" for _ in names] + ["", "", *totals]
        columns = [*names, "boundary", "batch size", "rows", "batches", "padding"]
        for column, footer in zip(columns, footers, strict=True):
            table.add_column(column, footer, justify="right")
        for bucket, boundary in zip(self.buckets, [*self.bucket_boundaries, None], strict=True):
            table.add_row(
                *(f"{length:,}" for length in bucket.lengths),
                "" if boundary is None else f"{boundary:,}",
                f"{bucket.batch_size:,}",
                f"{bucket.rows:,}",
                f"{bucket.num_batches:,}",
                f"{bucket.padding:.1%}",
            )
        slots = sum(bucket.slots for bucket in self.buckets)
        pairs = sum(b.rows * sum(length**2 for length in b.lengths) for b in self.buckets)
        return Group(table, "All rows " + self.packed.compare(slots, pairs))

    def __str__(self) -> str:
        return as_text(self)
