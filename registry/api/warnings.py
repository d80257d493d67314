"""Warning headers (OCI Distribution 1.1, "Warnings"): 299, and 4,096 bytes of all together at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_BUDGET = 4096
_FRAME = '299 - ""'


def warning_headers(warnings: Iterable[str]) -> Iterator[str]:
    """One header value a warning, as long as there is room."""
    left = _BUDGET
    for warning in warnings:
        text = "".join(char if " " <= char <= "~" else "?" for char in warning)
        quoted = text.replace("\\", "/").replace('"', "'")
        value = f'299 - "{quoted[: max(left - len(_FRAME), 0)]}"'
        left -= len(value)
        if left < 0 or value == _FRAME:
            return
        yield value
