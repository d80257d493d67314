"""What a command changes beside the servers, in their audit."""

from __future__ import annotations

import getpass
import os
from typing import Any

import click

from registry.audit import sink
from registry.audit.record import Event, Record
from registry.settings import Settings


def note(in_force: Settings, event: Event, verdict: str, what: str = "", **more: Any) -> None:
    """Record it where the settings name a file: stdout is the command's own. A failure is only said.

    `more` are other fields of the record.
    """
    audit = in_force.audit
    if audit.file == sink.STDOUT:
        return
    try:
        sink.opened(audit.file, audit.size, audit.keep)(Record(event, verdict, _local(), what=what, **more))
    except OSError as error:
        click.echo(f"warning: audit.file {audit.file} cannot be written: {error.strerror}", err=True)


def _local() -> str:
    try:
        return f"local:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user may have no name
        return f"local:{os.getuid()}"
