"""What reaches the user's terminal: foreign text without control characters, progress where one looks."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

# Controls, formatting (right-to-left overrides among them), surrogates, private use, separators of lines.
_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))


def printable(text: str, limit: int = 1000) -> str:
    """Text from elsewhere as one safe line: white space becomes a space, whatever else is unsafe `?`."""
    line = " ".join(text[: 4 * limit].split())
    safe = "".join("?" if unicodedata.category(character) in _UNSAFE else character for character in line)
    return safe if len(safe) <= limit else safe[: limit - 3] + "..."


@contextmanager
def progress(label: str, size: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr for `size` bytes, told how many more are done; nothing when stderr is no terminal."""
    if not sys.stderr.isatty():
        yield _ignored
        return
    with click.progressbar(length=size, label=label, file=sys.stderr, show_pos=False) as bar:
        yield bar.update


def _ignored(_: int) -> None:
    pass
