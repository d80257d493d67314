"""The log: lines on standard error, and no secret in them, whoever wrote it into one."""

from __future__ import annotations

import logging
import sys

from registry.access.capabilities import redacted

_FORM = "%(levelname)s %(name)s: %(message)s"


class Redacting(logging.Formatter):
    """Writes lines, and what follows them of an error, without the secret part of capability URLs."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return redacted(super().format(record))


def to_stderr() -> None:
    """Log to standard error from now on; again is fine."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Redacting(_FORM))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for library in ("uvicorn", "botocore", "boto3"):
        logging.getLogger(library).setLevel(logging.WARNING)
