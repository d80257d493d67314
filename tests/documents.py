"""The tables of the documents, as rows of cells."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def table(document: str, first: str) -> list[list[str]]:
    """The rows of the table whose first column is called `first`."""
    lines = iter((DOCS / document).read_text().splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            next(lines)
            break
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip(" `") for cell in line.strip("|").split("|")])
    assert rows, f"{document} has no table of {first}"
    return rows
