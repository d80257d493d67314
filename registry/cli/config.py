"""`sidecargo config`: what is in force, and whether a settings file is right."""

from __future__ import annotations

import json
from pathlib import Path

import click

from registry.console.failure import REFUSED, Failure, Refusal
from registry.settings import Flag, Loaded, SettingsInvalid, SettingsUnreadable, load
from registry.settings.show import as_data, as_yaml


@click.group()
def command() -> None:
    """Show or check the settings.

    \b
    Example:
      sidecargo config show --config sidecargo.yaml
      sidecargo config check sidecargo.yaml
    """


@command.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help="The settings file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: settings, and each key's origin.")
def show(path: Path | None, as_json: bool) -> None:
    """Print what is in force, secrets masked, and where each value comes from.

    \b
    Example:
      SIDECARGO_SERVER__PORT=5001 sidecargo config show --config sidecargo.yaml
    """
    loaded = settings(path)
    click.echo(json.dumps(as_data(loaded), indent=2) if as_json else as_yaml(loaded), nl=as_json)


@command.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON: ok, and what is wrong.")
def check(path: Path, as_json: bool) -> int:
    """Check a settings file alone, without the environment.

    Exits 0 when it is right, 1 when something is wrong, 2 when it cannot be read.

    \b
    Example:
      sidecargo config check sidecargo.yaml
    """
    try:
        load(path, use_environment=False)
    except SettingsUnreadable as error:
        raise _unreadable(error) from None
    except SettingsInvalid as error:
        if not as_json:
            raise Refusal(str(error)) from None
        problems = [{"where": one.where, "key": one.key, "message": one.message} for one in error.wrong]
        click.echo(json.dumps({"ok": False, "problems": problems}, indent=2))
        return REFUSED
    click.echo(json.dumps({"ok": True, "problems": []}, indent=2) if as_json else f"{path}: ok")
    return 0


def settings(path: Path | None, flags: tuple[Flag, ...] = ()) -> Loaded:
    """Load the settings for a command; what is wrong ends it with exit code 2."""
    try:
        return load(path, flags=flags)
    except SettingsUnreadable as error:
        raise _unreadable(error) from None
    except SettingsInvalid as error:
        raise Failure(str(error)) from None


def _unreadable(error: SettingsUnreadable) -> Failure:
    return Failure(f"{error}.", "Give the path of a settings file that can be read.")
