from __future__ import annotations

import io
import sys

import pytest

from registry.cli.terminal import printable, progress


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


def test_progress_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("pushing", 10) as advance:
        advance(10)
    assert "pushing" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
