"""`sidecargo users`: who may log in, people by passwords and robots by secrets, in the users' file."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click

from registry.access import htpasswd, robots, userlines
from registry.access.principal import is_name
from registry.apply import kubernetes, pull_secret
from registry.apply.pull_secret import Login
from registry.cli.config import settings
from registry.cli.noted import note
from registry.console.failure import REFUSED, Failure
from registry.settings import Settings
from storage.files import sync_folder

_config = click.option("--config", "path", type=click.Path(path_type=Path), help="The settings file.")
_file = click.option(
    "--file", "named", type=click.Path(path_type=Path), help="The users' file.  [default: access.htpasswd]"
)
_robot = click.option("--robot", is_flag=True, help="It is a robot: it logs in with a secret made here.")


@click.group()
def command() -> None:
    """Add, list and remove those who may log in. A server that runs sees it at once.

    \b
    Example:
      sidecargo users add alice --file users
      sidecargo users add --robot deploy --file users
    """


@command.command()
@click.argument("name")
@_robot
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "k8s-secret"]),
    default="text",
    help="How a robot's secret is shown: k8s-secret is the Secret that agents pull with.",
)
@click.option("--host", help="With k8s-secret: the registry's HOST[:PORT].  [default: server.public_url]")
@click.option("--secret-name", help="With k8s-secret: what it is called.  [default: NAME-pull]")
@click.option("--namespace", default="", help="With k8s-secret: its namespace.")
@_file
@_config
def add(
    name: str,
    robot: bool,
    password_stdin: bool,
    form: str,
    host: str | None,
    secret_name: str | None,
    namespace: str,
    named: Path | None,
    path: Path | None,
) -> None:
    """Let NAME log in; of who is there already, the password is replaced.

    A robot's secret is made here and shown once. A robot has two at most: adding it again gives it a new one
    beside the one before, until that is removed or the next one comes. Without a users' file the hash is
    printed for access.robots in the settings.

    \b
    Example:
      sidecargo users add alice --file users
      sidecargo users add --robot deploy --file users
      sidecargo users add --robot deploy --format k8s-secret --host plugins.example.com | kubectl apply -f -
    """
    if not is_name(name):
        raise Failure(f"{name!r} is no name.", "Write letters, digits and . _ @ + - inside.")
    in_force = settings(path).settings
    file = _users_file(named, in_force)
    if not robot:
        if form != "text":
            raise Failure("--format k8s-secret shows a secret, and users have none.", "Add --robot.")
        if file is None:
            raise _no_file()
        kept = htpasswd.hashed(_password(password_stdin))
        _change(file, lambda text: userlines.with_password(text, name, kept))
        note(in_force, "user", "added", f"user:{name}")
        click.echo(f"user:{name} may log in.", err=True)
        return
    shown = _Shown(form, host or _known(in_force), secret_name or f"{name}-pull", namespace)
    shown.must_be_possible()
    secret = robots.new_secret()
    kept = robots.hashed(secret.encode())
    if file is not None:
        _change(file, lambda text: userlines.with_secret(text, name, kept))
        note(in_force, "user", "added", f"robot:{name}")
        click.echo(f"robot:{name} may log in; its secret is shown this once:", err=True)
    else:
        click.echo("Write into the settings, then restart the servers:", err=True)
        click.echo(f'  access: {{robots: [{{name: {name}, secrets: ["{kept}"]}}]}}', err=True)
        click.echo("The secret is shown this once:", err=True)
    click.echo(shown.of(name, secret), nl=False)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_file
@_config
def listed(as_json: bool, named: Path | None, path: Path | None) -> int:
    """Print who may log in, by the users' file and the settings. Exits 1 when lines of the file are broken.

    \b
    Example:
      sidecargo users list --config sidecargo.yaml
    """
    in_force = settings(path).settings
    file = _users_file(named, in_force)
    users = htpasswd.parse(_read(file) if file else "")
    rows: list[dict[str, object]] = [{"who": f"user:{name}"} for name in users.hashes]
    for one in (*users.robots, *in_force.access.known_robots):
        expires = one.expires.isoformat() if one.expires else None
        rows.append({"who": f"robot:{one.name}", "secrets": len(one.hashes), "expires": expires})
    if as_json:
        click.echo(json.dumps({"users": rows, "problems": list(users.problems)}, indent=2))
    else:
        for row in rows:
            more = f"  secrets {row['secrets']}" if "secrets" in row else ""
            more += f"  expires {row['expires']}" if row.get("expires") else ""
            click.echo(f"{row['who']}{more}")
        for problem in users.problems:
            click.echo(f"{file}, {problem}", err=True)
    return REFUSED if users.problems else 0


@command.command()
@click.argument("name")
@_robot
@click.option("--old", is_flag=True, help="With --robot: its secrets but the newest one.")
@_file
@_config
def remove(name: str, robot: bool, old: bool, named: Path | None, path: Path | None) -> None:
    """Let NAME log in no more. What they logged in with counts for 2 seconds at most.

    \b
    Example:
      sidecargo users remove alice --file users
      sidecargo users remove --robot deploy --old --file users
    """
    if old and not robot:
        raise Failure("--old is about a robot's secrets.", "Add --robot.")
    in_force = settings(path).settings
    file = _users_file(named, in_force)
    if file is None:
        raise _no_file()
    who = f"robot:{name}" if robot else f"user:{name}"
    if not _change(file, lambda text: userlines.without(text, name, robot=robot, newest_stays=old)):
        what = f"{who} has no older secret" if old else f"{who} is not there"
        raise Failure(f"{what} in {file}.", "See sidecargo users list.")
    note(in_force, "user", "older-removed" if old else "removed", who)
    click.echo(f"{who}: its older secret is gone." if old else f"{who} is gone.", err=True)


class _Shown:
    """How a robot's secret is shown."""

    def __init__(self, form: str, host: str, secret_name: str, namespace: str) -> None:
        self._is_text = form == "text"
        self._host, self._name, self._namespace = host, secret_name, namespace

    def must_be_possible(self) -> None:
        """Before anything is changed; raises Failure."""
        if self._is_text:
            return
        if not self._host:
            raise Failure("where agents pull from is not said.", "Add --host HOST, or set server.public_url.")
        if not kubernetes.is_subdomain(self._name):
            raise Failure(f"{self._name!r} is no name of a Secret.", "Add --secret-name NAME in lower case.")
        if self._namespace and not kubernetes.is_label(self._namespace):
            raise Failure(f"{self._namespace!r} is no namespace.", "Write lower-case letters, digits and -.")

    def of(self, name: str, secret: str) -> str:
        if self._is_text:
            return f"{secret}\n"
        return pull_secret.render(Login(self._host, name, secret), self._name, self._namespace)


def _users_file(named: Path | None, in_force: Settings) -> Path | None:
    return named or (Path(in_force.access.htpasswd) if in_force.access.htpasswd else None)


def _known(in_force: Settings) -> str:
    return urlsplit(in_force.server.public_url).netloc if in_force.server.public_url else ""


def _password(from_stdin: bool) -> bytes:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not password:
        raise Failure("an empty password is none.", "Type one, or let another program write it.")
    said: bytes = password.encode()
    if robots.is_secret(said):
        raise Failure("that is a robot's secret, and no user's password.", "Choose another one.")
    if len(said) > htpasswd.LONGEST:
        raise Failure(f"bcrypt takes {htpasswd.LONGEST} bytes of a password.", "Choose a shorter one.")
    return said


def _no_file() -> Failure:
    return Failure("there is no users' file.", "Name it: --file FILE, or access.htpasswd in the settings.")


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}.", "Name a users' file that can be read.") from None


def _change(file: Path, change: Callable[[str], str]) -> bool:
    """Replace the file at once, so that no server sees half of it; whether anything is different now."""
    file = file.resolve()  # a link stays one
    with _alone(file.parent):
        before = _read(file) if file.exists() else ""
        after = change(before)
        if after == before:
            return False
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
        temp = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
        try:
            with os.fdopen(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                os.fchmod(out.fileno(), mode)
                out.write(after.encode("utf-8", "surrogateescape"))
                out.flush()
                os.fsync(out.fileno())
            temp.replace(file)
            sync_folder(file.parent)
        finally:
            temp.unlink(missing_ok=True)
    return True


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While nobody else of us changes a file there."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise Failure(f"{folder}: {error.strerror}.", "Make the folder first.") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
