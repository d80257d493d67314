"""What a command changes of who may log in and what signs, in the audit of the servers beside it."""

from __future__ import annotations

import getpass
import os
from typing import Literal

import click

from registry.audit import sink
from registry.audit.record import Record
from registry.settings import Settings


def note(in_force: Settings, event: Literal["key", "user"], verdict: str, what: str) -> None:
    """Record it where the settings name a file: stdout is the command's own. A failure is only said."""
    audit = in_force.audit
    if audit.file == sink.STDOUT:
        return
    try:
        sink.opened(audit.file, audit.size, audit.keep)(Record(event, verdict, _local(), what=what))
    except OSError as error:
        click.echo(f"warning: audit.file {audit.file} cannot be written: {error.strerror}", err=True)


def _local() -> str:
    try:
        return f"local:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user may have no name
        return f"local:{os.getuid()}"
