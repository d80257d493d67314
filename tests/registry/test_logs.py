from __future__ import annotations

import logging
import sys

from registry.access.capabilities import Capabilities
from registry.logs import Redacting
from tests.registry.access.test_capabilities import ID, KEY


def test_no_capability_is_in_a_line_nor_in_what_follows_it() -> None:
    written = Capabilities([KEY]).write("team/a", "v1", ID)
    try:
        raise ValueError(f"/plugins/team/a:v1/{written}/plugin.wasm")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 1, "failed: %s", (written,), sys.exc_info())
    said = Redacting("%(message)s").format(record)
    assert said.startswith(f"failed: scu_{ID}_…\nTraceback")
    assert said.count(f"scu_{ID}_…") == 2
    assert written.rpartition("_")[2][:8] not in said
