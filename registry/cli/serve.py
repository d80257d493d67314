"""`sidecargo serve`: runs the registry."""

from __future__ import annotations

import ipaddress
from importlib import import_module
from pathlib import Path

import click

from registry.cli.config import settings
from registry.console.failure import Failure
from registry.settings import Flag
from registry.settings.document import Place


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help="The settings file.")
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="The port to listen on; 0 takes a free one.  [default: 5000]")
@click.option(
    "--storage",
    metavar="DIR|s3://BUCKET/PREFIX",
    help="Where to keep content: a folder, or a bucket as boto3 reaches it.  [default: ./data]",
)
@click.option("--workers", type=int, metavar="N", help="How many processes serve.  [default: 1]")
@click.option(
    "--signing-key",
    type=click.Path(path_type=Path),
    help="The private key that signs (PEM); needed with S3.  [default: one made in the storage folder]",
)
@click.option(
    "--allow-anonymous-push",
    is_flag=True,
    help="Listen on an address that others reach although everybody may push.",
)
def command(
    path: Path | None,
    host: str | None,
    port: int | None,
    storage: str | None,
    workers: int | None,
    signing_key: Path | None,
    allow_anonymous_push: bool,
) -> int:
    """Run the registry. Flags beat SIDECARGO_… variables, which beat the settings file.

    \b
    Example:
      sidecargo serve
      sidecargo serve --port 5001 --storage /var/lib/sidecargo --workers 2
    """
    given: tuple[tuple[str, Place, object], ...] = (
        ("--host", ("server", "host"), host),
        ("--port", ("server", "port"), port),
        ("--storage", ("storage", "url"), storage),
        ("--workers", ("server", "workers"), workers),
        ("--signing-key", ("signing", "keys"), [signing_key] if signing_key else None),
    )
    flags = tuple(Flag(name, place, value) for name, place, value in given if value is not None)
    loaded = settings(path, flags)
    in_force = loaded.settings
    if not allow_anonymous_push and not in_force.access.rules and is_exposed(in_force.server.host):
        raise Failure(
            f"{in_force.server.host} can be reached from other machines: everybody could push there.",
            "Set access.rules, listen on 127.0.0.1, or add --allow-anonymous-push where only those whom you "
            "trust get through.",
        )
    # Here, for the server is much to load, and `--help` and wrong settings need none of it.
    code = import_module("registry.app").serve(in_force)
    return code if isinstance(code, int) else 0


def is_exposed(host: str) -> bool:
    """Whether others than this machine can reach what listens on `host`; a name but localhost counts so."""
    if host == "localhost":
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return not address.is_loopback
