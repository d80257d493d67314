"""`sidecargo keys`: makes the key that signs."""

from __future__ import annotations

from pathlib import Path

import click

from registry.console.failure import Failure
from registry.keyring import write_new


@click.group()
def command() -> None:
    """Make signing keys.

    \b
    Example:
      sidecargo keys new signing.pem
    """


@command.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def new(path: Path) -> None:
    """Make a private key (ECDSA P-256, PEM) that only its owner can read; print its public key.

    Never overwrites a file.

    \b
    Example:
      sidecargo keys new signing.pem > cosign.pub
      sidecargo serve --signing-key signing.pem
    """
    try:
        key = write_new(path)
    except FileExistsError:
        raise Failure(f"{path} exists.", "Choose another name: what it signed is verified by it.") from None
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}.", "Give a path that can be written to.") from None
    click.echo(key.public_pem, nl=False)
