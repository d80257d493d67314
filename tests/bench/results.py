"""What was measured, as a table for people: medians, ratios, and what is aimed at."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from tests.bench.peers import DISTRIBUTION, NGINX


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of work: its unit, whether more is better, and the aim beside it."""

    name: str
    unit: str
    more_is_better: bool = True
    aim: str = ""
    digits: int = 0


@dataclass(slots=True)
class Results:
    """Every measurement of every row and peer; rows and peers stay in the order in which they came."""

    taken: dict[Row, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, row: Row, peer: str, value: float) -> None:
        """Keep one measurement."""
        self.taken[row].setdefault(peer, []).append(value)

    def markdown(self) -> str:
        """The whole table: the median of each cell, and how many times as good as the peers we are."""
        peers = list(dict.fromkeys(peer for cells in self.taken.values() for peer in cells))
        own = [peer for peer in peers if peer not in (DISTRIBUTION, NGINX)]
        others = [peer for peer in (DISTRIBUTION, NGINX) if peer in peers]
        head = ["", *peers, *(f"× {peer}" for peer in others), "aim"]
        lines = [head, ["---", *("---:" for _ in head[1:-1]), "---"]]
        for row, cells in self.taken.items():
            medians = {peer: median(values) for peer, values in cells.items()}
            shown = [f"{medians[peer]:,.{row.digits}f}" if peer in medians else "" for peer in peers]
            ratios = [_ratios(row, medians, own, peer) for peer in others]
            lines.append([f"{row.name}, {row.unit}", *shown, *ratios, row.aim])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ratios(row: Row, medians: dict[str, float], own: list[str], peer: str) -> str:
    if not medians.get(peer):
        return ""
    quotients = [medians[name] / medians[peer] for name in own if medians.get(name)]
    better = [quotient if row.more_is_better else 1 / quotient for quotient in quotients]
    return ", ".join(f"{quotient:.2f}" for quotient in better)


def say(what: str) -> None:
    """What is measured now, for who waits."""
    print(what, file=sys.stderr, flush=True)
