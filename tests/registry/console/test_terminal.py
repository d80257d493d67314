from __future__ import annotations

import io
import sys

import pytest

from registry.console.terminal import Status, printable, progress


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ünïcode 漢字 🎉", "plain text, ünïcode 漢字 🎉"),
        ("two\nlines\r\n\tand tabs", "two lines and tabs"),
        ("\x1b[31mred\x1b[0m \x07", "?[31mred?[0m ?"),
        ("\x9b31m", "?31m"),
        ("a\u202eb\u2066c\u200bd\ufeff", "a?b?c?d?"),
        ("a\u2028b\x85c", "a b c"),
        ("\ud800", "?"),
    ],
)
def test_nothing_in_foreign_text_reaches_the_terminal_but_letters(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_foreign_text_has_an_end() -> None:
    assert printable("x" * 5000, 10) == "xxxxxxx..."
    assert len(printable("x" * 10**6)) == 1000


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("pushing", 10) as advance:
        advance(10)
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("pushing", 10) as advance:
        advance(10)
    assert "pushing" in terminal.getvalue()
    assert "100%" in terminal.getvalue()


def test_long_work_tells_a_line_a_thousand_steps(capsys: pytest.CaptureFixture[str]) -> None:
    with Status() as status:
        for steps in (1, 999, 1000, 1500, 1999, 2100, 5000):
            status.show(f"{steps}\n", steps)
            status.clear()
    assert capsys.readouterr() == ("", "1000\n2100\n5000\n")


def test_on_a_terminal_it_is_one_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Status() as status:
        status.show("one", 1)
        status.show("x" * 500, 2)
    said = terminal.getvalue()
    assert said.startswith("\r\x1b[Kone\r\x1b[Kx")
    assert said.endswith("...\r\x1b[K")
    assert "\n" not in said
