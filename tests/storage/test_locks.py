from __future__ import annotations

import threading
from pathlib import Path

import pytest

from storage.locks import Locks


@pytest.mark.parametrize(
    ("first", "second", "waits"),
    [
        (["a/b"], ["a/b"], True),
        (["a/b"], ["a/c"], False),
        (["a/b", "t/a"], ["t/a"], True),
        (["a/b", "t/a"], ["t/a", "a/b"], True),
        (["a/b", "a/b"], ["a/c"], False),
    ],
    ids=["same", "other", "one of two", "both, the other way round", "twice"],
)
def test_who_waits(tmp_path: Path, first: list[str], second: list[str], waits: bool) -> None:
    got = threading.Event()

    def take() -> None:
        with Locks(tmp_path).held(*second):
            got.set()

    with Locks(tmp_path).held(*first):
        other = threading.Thread(target=take)
        other.start()
        assert got.wait(0.2 if waits else 30) is not waits
    other.join()
    assert got.is_set()
