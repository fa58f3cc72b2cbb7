"""Saving 导出: a report as a file for spreadsheets, with plain numbers and nothing that runs."""

import csv
import io
from collections.abc import Sequence

from plugward.kit.money import Money

from .contract import Figure, Sheet, SheetRow
from .showing import Shown

KIND = "text/csv; charset=utf-8"
MARK = "\ufeff"  # by it spreadsheets know that the text is UTF-8
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(sheet: Sheet, shown: Shown, total: str, subtotal: str) -> bytes:
    """The grid line by line: every label written out, sub-totals and the total named."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\r\n")
    depth = len(sheet.headings)
    lines.writerow(
        [safe(text) for text in (*_labels(sheet, shown), *_measures(sheet, shown, total))]
    )
    for row in sheet.rows:
        labels = [shown.words(member.title) for member in row.path]
        if len(labels) < depth:
            labels += [subtotal, *[""] * (depth - len(labels) - 1)]
        lines.writerow([*map(safe, labels), *_figures(sheet, row)])
    lines.writerow([total, *[""] * (depth - 1), *_figures(sheet, sheet.total)])
    return (MARK + out.getvalue()).encode()


def safe(text: str) -> str:
    """A label that begins like a formula is text, whatever program opens it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _labels(sheet: Sheet, shown: Shown) -> Sequence[str]:
    return [shown.words(heading.title) for heading in sheet.headings]


def _measures(sheet: Sheet, shown: Shown, total: str) -> list[str]:
    names = [shown.heading(measure) for measure in sheet.measures]
    if not sheet.columns:
        return names
    columns = [*(shown.words(column.title) for column in sheet.columns), total]
    return [f"{column} {name}" for column in columns for name in names]


def _figures(sheet: Sheet, row: SheetRow) -> list[str]:
    count = len(sheet.measures)
    return [
        _plain(value, sheet.measures[place % count].format)
        for place, value in enumerate(row.figures)
    ]


def _plain(value: Figure, format: str) -> str:
    """A number a spreadsheet can add: no thousands, no unit, a share as a fraction."""
    if value is None:
        return ""
    if format == "money":
        return str(Money(fen=int(value)))
    if format == "count":
        return str(int(value))
    return repr(round(float(value), 6))
