"""`sidecargo yaml`: what to apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import click

from registry.apply import reading, resources
from registry.apply.options import ISTIO, KINDS, OPTIONS, Option, OptionInvalid, Options
from registry.apply.pin import Pin
from registry.artifacts import stored_plugin
from registry.cli import plugin_config, verdicts
from registry.cli.asked import Asked, asked
from registry.client import downloads
from registry.client.remote import Remote
from registry.console.failure import Failure
from registry.releases import NEWEST
from storage.digest import Digest

_CONFIG = "plugin-config"
_ENVOY = "envoy"
_ISTIO = "istio"


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of all kinds, in the order of their table."""
    for option in reversed(tuple(OPTIONS.values())):
        # All may be repeated, so that none is dropped without a word.
        command = click.option(f"--{option.name}", metavar=_form(option), help=_help(option), multiple=True)(
            command
        )
    return command


def _form(option: Option) -> str:
    return "FILE" if option.name == _CONFIG else option.form


def _help(option: Option) -> str:
    said = f"{option.help[:-1]}, YAML or JSON." if option.name == _CONFIG else option.help
    return said if len(option.kinds) == len(KINDS) else f"{said}  [{', '.join(option.kinds)}]"


@click.command()
@click.argument("kind", type=click.Choice(tuple(KINDS)))
@click.argument("reference", metavar="REF")
@_with_options
@click.option(
    "--remote", is_flag=True, help="Envoy downloads the module: what holds without --local.  [envoy]"
)
@click.option("--istio", metavar="RELEASE", help="It must load in the Envoy of this Istio, as 1.31.")
@click.option(
    "--envoy",
    "envoys",
    metavar="RELEASE",
    multiple=True,
    help=f"It must load in this Envoy, as 1.40; may be given several times.  [default: {NEWEST}]",
)
@click.option("--plain-http", multiple=True, metavar="HOST", help="Speak plain HTTP to this registry.")
def command(
    kind: str,
    reference: str,
    remote: bool,
    istio: str | None,
    envoys: tuple[str, ...],
    plain_http: tuple[str, ...],
    **given: tuple[str, ...],
) -> None:
    """Print what to apply for a plugin, pinned to the digest that its consumer compares.

    REF is HOST/REPO:TAG or HOST/REPO@sha256:DIGEST in any registry, read with docker's credentials. A
    plugin that does not load there is refused: applied, it would be an outage. By http needs a
    Sidecargo registry; what is not for everybody there gets a URL that needs no login, a secret.

    \b
    Example:
      sidecargo yaml wasmplugin registry.example.com/acme/plugin:v1 --selector app=web --phase AUTHN
      sidecargo yaml envoyextensionpolicy registry.example.com/acme/plugin:v1 --target Gateway/eg
      sidecargo yaml envoy registry.example.com/acme/plugin:v1 --plugin-config config.yaml
      sidecargo yaml trafficextension registry.example.com/acme/plugin:v1 | kubectl apply -f -
    """
    wanted = stored_plugin.reference(reference)
    options = _options(kind, given, remote)
    must = _asked(kind, resources.consumer(kind, options), envoys, istio)
    is_downloaded = resources.is_downloaded(kind, options)
    with Remote(wanted.host, plain_http=wanted.host in plain_http) as source:
        found = stored_plugin.find(wanted, source, must.envoys)
        pin = Pin(
            wanted.host,
            wanted.repository,
            found.image,
            found.module,
            source.origin.partition("://")[0],
            "" if isinstance(wanted.target, Digest) else wanted.target,
        )
        if is_downloaded:
            pin = downloads.served(pin, source)
    if not (is_downloaded or kind == _ENVOY or options.pull_secret or downloads.is_for_everybody(pin)):
        warning = f"{pin.host}/{pin.repository} is not for everybody: agents need --pull-secret to pull it."
        click.echo(f"warning: {warning}", err=True)
    for line in verdicts.elsewhere(found.elsewhere):
        click.echo(f"note: {wanted} loads, {line}", err=True)
    click.echo(resources.render(kind, pin, options), nl=False)


def _options(kind: str, said: Mapping[str, Sequence[str]], remote: bool) -> Options:
    """What was given, read; raises Failure."""
    given = {option.name: list(said[option.field]) for option in OPTIONS.values() if said[option.field]}
    if remote and kind != _ENVOY:
        raise Failure(f"--remote is for envoy, not for {KINDS[kind]}.", "Use --by http.")
    if remote and "local" in given:
        raise Failure("--remote and --local exclude each other.", "Give one of them.")
    if _CONFIG in given and kind in OPTIONS[_CONFIG].kinds:
        given[_CONFIG] = [plugin_config.read(path, or_text=kind == _ENVOY) for path in given[_CONFIG]]
    try:
        return reading.read(kind, given)
    except OptionInvalid as error:
        raise _invalid(error) from None


def _invalid(error: OptionInvalid) -> Failure:
    """The error, with options as they are typed."""
    message, fix = error.message, error.fix
    if error.beside:
        message, fix = (text.replace(error.beside, f"--{error.beside}") for text in (message, fix))
    return Failure(f"--{error.option} {message}", fix)


def _asked(kind: str, consumer: str, envoys: Sequence[str], istio: str | None) -> Asked:
    """The consumer, and the releases of Envoy that it must load in: those that are named, and Istio's."""
    if istio is None:
        return asked([consumer], envoys, None)
    if kind not in ISTIO:
        raise Failure(f"--istio is for Istio's resources, not for {KINDS[kind]}.", "Use --envoy.")
    found = asked([_ISTIO], (), istio).envoys[_ISTIO]
    return asked([consumer], (*envoys, *found), None)
