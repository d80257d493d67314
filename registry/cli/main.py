"""`sidecargo`: finds the command, runs it, and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from registry import __version__
from registry.console.failure import REFUSED, UNUSABLE
from registry.console.terminal import printable
from storage.errors import RegistryError

_COMMANDS = (
    "check",
    "config",
    "fsck",
    "gc",
    "keys",
    "migrate",
    "promote",
    "push",
    "quota",
    "serve",
    "tags",
    "url",
    "users",
    "verify",
    "why",
    "yaml",
)
_INTERRUPTED = 130


class _Commands(click.Group):
    """Imports a command when it is asked for: `keys new` need not load the server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        found = import_module(f"registry.cli.{cmd_name}").command
        return found if isinstance(found, click.Command) else None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sidecargo")
def cli() -> None:
    """The OCI registry for Envoy and Istio Wasm plugins: whatever it accepts loads.

    \b
    Example:
      sidecargo serve
      sidecargo check plugin.wasm
      sidecargo push plugin.wasm localhost:5000/acme/plugin:v1
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    try:
        code = cli.main(arguments, prog_name="sidecargo", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return UNUSABLE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "sidecargo"
        return _failed(f"{error.format_message()} See {path} --help.", UNUSABLE)
    except click.ClickException as error:
        return _failed(error.format_message(), error.exit_code)
    except RegistryError as error:
        return _failed(str(error), REFUSED)
    except (click.Abort, KeyboardInterrupt):
        return _failed("interrupted.", _INTERRUPTED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}{error.strerror or error}.", UNUSABLE)
    return code if isinstance(code, int) else 0


def _failed(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # nobody is left to be told
        for line in message.splitlines():
            click.echo(f"error: {printable(line)}", err=True)
    return code
