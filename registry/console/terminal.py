"""What reaches the user's terminal: foreign text without control characters, progress where one looks."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

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


class Status:
    """What long work tells on stderr: one line that changes on a terminal, else a line a thousand steps.

    A context: at its end the line is gone.
    """

    STEPS = 1000

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._told = 0
        self._shown = False

    def __enter__(self) -> Status:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def show(self, text: str, steps: int) -> None:
        """Tell how far it is, `steps` in all."""
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            click.echo(f"\r\033[K{printable(text, width)}", nl=False, err=True)
            self._shown = True
        elif steps // self.STEPS > self._told:
            self._told = steps // self.STEPS
            click.echo(printable(text), err=True)

    def clear(self) -> None:
        """Take the line away, before something else is written."""
        if self._shown:
            click.echo("\r\033[K", nl=False, err=True)
            self._shown = False


def _ignored(_: int) -> None:
    pass
