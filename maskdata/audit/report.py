"""What an audit found, as an object and a table."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from maskdata._tables import as_text

VERDICTS = {
    "makes": "a mask comes out, none went in",
    "replaces": "another mask comes out, whatever went in",
    "uses": "its values depend on the mask",
    "passes on": "the mask comes out again",
    "drops by design": "the steps end here, and the mask with them",
    "drops silently": "the steps go on without the mask; nothing is said",
    "drops with a warning": "the steps go on without the mask; Keras says so",
    "reads padding": "its values where data are depend on the padding",
    "mixes segments": "its values for one segment of a packed row depend on the others",
    "depends on its place": "its values for a segment depend on where in the packed row that stands",
    "fails with a mask": "it raises an error because of the mask",
    "no mask": "none went in, none comes out",
}
PACKED = "outputs, packed otherwise"


@final
@dataclass(frozen=True)
class Call:
    """One call of a layer, an operation, a function of `keras.ops` or an operator.

    Attributes:
        number: Its place in the order of calls, from 1.
        name: Its name; with file and line for what stands in somebody's code.
        kind: Class of the layer, or "operation".
        depth: How many layers it stands in.
        mask_in: Whether a mask came with an input.
        mask_out: Whether a mask comes with an output.
        verdict: One of `VERDICTS`.
        change: By how much its values where data are change with the padding, or with other
            segments in the packed row, relative to the largest; 0 if they do not.
    """

    number: int
    name: str
    kind: str
    depth: int
    mask_in: bool
    mask_out: bool
    verdict: str
    change: float = 0.0


@final
@dataclass(frozen=True)
class Problem:
    """Something that makes the result depend on padding, or on what a row is packed with.

    Attributes:
        call: The call to mend; None if it is none.
        name: Its name, or what else it is: "loss", "gradients", a metric.
        what: What is wrong, in a sentence.
        change: By how much values change, relative to the largest.
        advice: What mends it.
    """

    call: Call | None
    name: str
    what: str
    change: float
    advice: str

    def __str__(self) -> str:
        number = "" if self.call is None else f"{self.call.number} "
        return f"{number}{self.name}: {self.what} {self.advice}"


@final
@dataclass(frozen=True)
class Quantity:
    """One number of the whole model, or a set of them.

    Attributes:
        name: "outputs", "outputs, packed otherwise", "loss", "gradients", or the name of a metric.
        change: The largest relative difference between paddings, or between numbers of replicas.
        ok: Whether that is no more than rounding.
        why: Why it could not be judged, or "".
    """

    name: str
    change: float
    ok: bool
    why: str = ""


@final
@dataclass(frozen=True)
class Report:
    """What an audit found; `print` it for a table.

    Attributes:
        model: Name of the model.
        calls: A `Call` for each call, in order.
        problems: A `Problem` for all that makes the result depend on padding or packing.
        whole: A `Quantity` for outputs, loss, gradients and each metric.
        tried: What was done to the padding, and to the segments of a packed batch.
        notes: What could not be judged and why, and what else one should know.
    """

    model: str
    calls: list[Call]
    problems: list[Problem]
    whole: list[Quantity] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing depends on padding or packing, as far as it could be judged."""
        return not self.problems

    @property
    def summary(self) -> str:
        """One line."""
        tried = f"{len(self.calls)} calls, {len(self.tried)} comparisons"
        if self.ok:
            of_outputs = [q for q in self.whole if q.name in ("outputs", PACKED)]
            is_proven = not any(quantity.why for quantity in of_outputs)
            is_packed = len(of_outputs) > 1
            what = "neither padding nor packing changes anything"
            what = what if is_packed else "padding changes nothing"
            found = what if is_proven else "no problem found"
            return f"{self.model}: {found} ({tried})"
        number = len(self.problems)
        return f"{self.model}: {number} problem{'s' * (number > 1)} ({tried})"

    def __rich__(self) -> Group:
        return Group(self._calls(), *self._problems(), self._whole(), *self._notes())

    def __str__(self) -> str:
        return as_text(self)

    def to_html(self, path: str | Path | None = None) -> str:
        """Return the report as one HTML page that needs nothing else, and write it to `path`."""
        from maskdata.audit._html import page

        text = page(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _calls(self) -> Table:
        table = Table(title=escape(self.summary), title_justify="left")
        table.add_column("", justify="right")
        for column in ("call", "type", "mask in", "mask out", "verdict"):
            table.add_column(column)
        table.add_column("change", justify="right")
        at_fault = {problem.call.number for problem in self.problems if problem.call is not None}
        for call in self.calls:
            table.add_row(
                str(call.number),
                escape("  " * call.depth + call.name),
                escape(call.kind),
                "yes" if call.mask_in else "-",
                "yes" if call.mask_out else "-",
                call.verdict,
                as_change(call.change),
                style="bold" if call.number in at_fault else None,
            )
        return table

    def _problems(self) -> list[Text]:
        return [Text(f"* {problem}") for problem in self.problems]

    def _whole(self) -> Table:
        table = Table(title="Largest relative difference between paddings", title_justify="left")
        table.add_column("quantity")
        table.add_column("difference", justify="right")
        table.add_column("")
        for quantity in self.whole:
            verdict = "ok" if quantity.ok else "changes"
            shown = as_change(quantity.change) or "0"
            table.add_row(
                escape(quantity.name),
                "" if quantity.why else shown,
                escape(f"not judged: {quantity.why}") if quantity.why else verdict,
            )
        return table

    def _notes(self) -> list[Text]:
        return [Text(f"Note: {note}") for note in self.notes]


def as_change(change: float) -> str:
    """Write a relative difference; nothing if there is none."""
    return f"{change:.1e}" if change else ""
