"""Where each real part is: `.ci/tools` installs them, this asks it."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".ci" / "tools"


@cache
def where(name: str) -> Path | str:
    """The path of a part of `.ci/parts.txt`, or the reason why it is not here."""
    found = subprocess.run([TOOLS, "--where", name], capture_output=True, text=True, timeout=60)
    return Path(found.stdout.strip()) if found.returncode == 0 else found.stderr.strip()


def require(name: str) -> Path:
    """The path of a part; skips the test without it, fails it when SIDECARGO_REQUIRE_REAL is set."""
    found = where(name)
    if not isinstance(found, Path):
        missing(found)
    return found


def missing(reason: str) -> NoReturn:
    """Skip or fail the test for a part that cannot be had."""
    if os.environ.get("SIDECARGO_REQUIRE_REAL"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
