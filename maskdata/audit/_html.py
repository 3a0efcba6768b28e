"""A report -> one HTML page without anything from elsewhere."""

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskdata.audit.report import Report

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ccc; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.problem td { background: #fdecea; font-weight: 600; }
p.ok { color: #1b7a3d; } p.bad { color: #b3261e; }
@media (prefers-color-scheme: dark) {
  body { background: #16181c; color: #e4e4e4; } th, td { border-color: #444; }
  tr.problem td { background: #4a1f1c; } p.ok { color: #7bd88f; } p.bad { color: #ff8a80; }
}
"""


def page(report: "Report") -> str:
    """Return the page."""
    at_fault = {problem.call.number for problem in report.problems if problem.call is not None}
    calls = [
        _row(
            [call.number, "\u2003" * call.depth + call.name, call.kind]
            + ["yes" if masked else "\u2013" for masked in (call.mask_in, call.mask_out)]
            + [call.verdict, f"{call.change:.1e}" if call.change else ""],
            style="problem" if call.number in at_fault else "",
        )
        for call in report.calls
    ]
    whole = [
        _row(
            [
                quantity.name,
                "" if quantity.why else f"{quantity.change:.1e}",
                f"not judged: {quantity.why}" if quantity.why else ("changes", "ok")[quantity.ok],
            ]
        )
        for quantity in report.whole
    ]
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            f"<title>{escape(report.summary)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(report.model)}</h1>",
            f'<p class="{"ok" if report.ok else "bad"}">{escape(report.summary)}</p>',
            _list("Problems", [str(problem) for problem in report.problems]),
            _table(["", "call", "type", "mask in", "mask out", "verdict", "change"], calls),
            "<h2>Largest relative difference between paddings</h2>",
            _table(["quantity", "difference", ""], whole),
            _list("Compared with the batch as it is", report.tried),
            _list("Notes", report.notes),
            "</body></html>",
        ]
    )


def _table(columns: list[str], rows: list[str]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _row(cells: list[object], style: str = "") -> str:
    written = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
    return f'<tr class="{style}">{written}</tr>'


def _list(title: str, entries: list[str]) -> str:
    if not entries:
        return ""
    return f"<h2>{escape(title)}</h2><ul>{''.join(f'<li>{escape(e)}</li>' for e in entries)}</ul>"
