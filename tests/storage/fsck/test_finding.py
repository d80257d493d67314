from __future__ import annotations

import pytest

from storage.fsck.finding import FIXES, Finding, Kind


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_says_what_to_do(kind: Kind) -> None:
    assert Finding(kind, "a/b", "it is so").fix == FIXES[kind]
    assert FIXES[kind].endswith(".")
    assert "Nothing need be done" in FIXES[kind] or kind.harms
