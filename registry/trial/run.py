"""The story of a trial: Envoy takes the plugin or not, a request goes through it, Envoy is ended."""

from __future__ import annotations

import http.client
import secrets
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from registry.trial import echo
from registry.trial.bootstrap import PLAIN, TRIED, Plan, bootstrap
from registry.trial.echo import Echo
from registry.trial.envoy import Envoy, EnvoyMissing, admin_socket
from registry.trial.journal import Journal
from registry.trial.message import MOST_BODY, PLAIN_GET, Answer, Request
from registry.trial.outcome import End, Exchange, Outcome, Ran, outcome

_BODY = b"hello from upstream\n"
_STUB_BODY = b"{}\n"
_FAREWELL = 5.0
# A socket's path has 108 bytes at most (unix(7)).
_LONGEST_TEMP = 64


@dataclass(frozen=True, slots=True)
class Trial:
    """What to try: the plugin's configuration, clusters that it may call, the request; `seconds` for all."""

    configuration: str = ""
    root_id: str = ""
    clusters: tuple[str, ...] = ()
    request: Request = PLAIN_GET
    seconds: float = 30.0


def run(binary: Path, module: BinaryIO, trial: Trial) -> Outcome:
    """Try the module in an Envoy of its own and say what came of it; nothing of it is left behind.

    Takes `trial.seconds` at most. Raises EnvoyMissing when this Envoy does not start whatever the plugin.
    """
    journal = Journal(secrets.token_hex(8))
    with _folder() as folder, echo.listening(_BODY) as upstream, echo.listening(_STUB_BODY) as stub:
        path = folder / "plugin.wasm"
        with path.open("wb") as file:
            shutil.copyfileobj(module, file)
        plan = Plan(
            module=str(path),
            admin_socket=str(admin_socket(folder)),
            upstream=upstream.port,
            stub=stub.port,
            configuration=trial.configuration,
            root_id=trial.root_id,
            clusters=trial.clusters,
        )
        with Envoy(binary, folder, bootstrap(plan), journal, trial.seconds) as envoy:
            plain, tried, live = _through(envoy, upstream, trial.request)
            code = envoy.leave(_FAREWELL) if live else envoy.ended
    if not live and code is not None and code >= 0 and not (journal.failures or journal.traps):
        said = journal.stray[-1] if journal.stray else f"exit code {code}"
        raise EnvoyMissing(f"{binary} does not start: {said[:300]}.")
    end = End.TIME_OUT if envoy.timed_out else End.DONE if live else End.ENDED
    ran = Ran(
        end=end,
        code=code or 0,
        live=live,
        seconds=trial.seconds if end is End.TIME_OUT else _FAREWELL,
        configured=bool(trial.configuration),
        plain=plain,
        tried=tried,
        calls=tuple(stub.seen),
    )
    return outcome(ran, journal)


def _through(envoy: Envoy, upstream: Echo, request: Request) -> tuple[Exchange, Exchange, bool]:
    """The request beside the plugin and through it, and whether Envoy took the plugin."""
    ports = envoy.ports()
    if ports is None:
        return Exchange(), Exchange(), False
    identity = str(uuid.uuid4())
    plain = _exchange(envoy, ports[PLAIN], upstream, request, identity)
    tried = _exchange(envoy, ports[TRIED], upstream, request, identity)
    return plain, tried, True


def _exchange(envoy: Envoy, port: int, upstream: Echo, request: Request, identity: str) -> Exchange:
    before = len(upstream.seen)
    answer = _send(port, request, identity, envoy.left)
    return Exchange(upstream.seen[before] if len(upstream.seen) > before else None, answer)


def _send(port: int, request: Request, identity: str, seconds: float) -> Answer | None:
    """Send the request; None when no answer comes in time, or Envoy ends meanwhile."""
    ours = {"host": "localhost", "user-agent": "sidecargo", "accept": "*/*", "x-request-id": identity}
    given = {name.lower() for name, _ in request.headers}
    headers = [(name, value) for name, value in ours.items() if name not in given] + list(request.headers)
    if request.body and "content-length" not in given:
        headers.append(("content-length", str(len(request.body))))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(request.body or None)
        answer = connection.getresponse()
        return Answer(answer.status, tuple(answer.getheaders()), answer.read(MOST_BODY))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that only this user can enter, gone at the end of the block."""
    short = len(tempfile.gettempdir()) <= _LONGEST_TEMP
    with tempfile.TemporaryDirectory(
        prefix="sidecargo-run-",
        dir=None if short else "/tmp",  # noqa: S108 - made for this user alone
        ignore_cleanup_errors=True,
    ) as made:
        yield Path(made)
