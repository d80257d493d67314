"""Wiring: from settings to a server that runs. The only place that constructs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

from starlette.applications import Starlette

from registry import choke, chores, issuers, keyring, logs, metrics, storages, warnings, workers
from registry.access.capabilities import Capabilities
from registry.access.proxies import Proxies
from registry.access.seal import Seal
from registry.api import errors
from registry.api.bodies import Bodies
from registry.api.call import Services
from registry.audit import sink
from registry.audit.record import Audit, Record, silent
from registry.certificate import Certificate
from registry.chores import Chore
from registry.hot.cache import EVERYBODY, HotCache
from registry.hot.flights import Flights
from registry.hot.patience import Patience
from registry.hot.protocol import hot_protocol
from registry.hot.pulled import Pulled
from registry.login.audiences import Audiences
from registry.login.challenges import Challenges
from registry.login.door import Door
from registry.login.origins import Origins
from registry.login.userfile import UserFile
from registry.metrics import Metrics
from registry.publish.examiner import Examiner
from registry.publish.foresight import Foresight
from registry.publish.inspectors import Inspectors
from registry.publish.publisher import Publisher
from registry.publish.signatures import Signer
from registry.publish.verifier import Verifier
from registry.routes import ROUTES
from registry.settings import Settings
from registry.settings.server import Server
from registry.workers import Wired
from storage.driver import Driver, Peek, Witness
from storage.errors import StoreError, StoreUnavailable, Unusable
from storage.quota.quotas import Quotas
from storage.store import Store

_log = logging.getLogger("sidecargo")

_SWEEP_EVERY = 3600.0
_COUNT_EVERY = 1.0
_LOOK_EVERY = 5.0


def serve(settings: Settings) -> int:
    """Run the registry until it is told to stop; the exit code."""
    logs.to_stderr()
    workers.open_files()
    try:
        root = asyncio.run(storages.prepared(settings))
        ring = keyring.ring(settings.signing, root)
        _door(settings, Audiences(Seal()), root)
        _capabilities(settings, root)
        keyring.verification(settings)
        _certificate(settings.server)
        audit = _audit(settings)
        listeners = _listen(settings.server)
    except (StoreError, Unusable, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    port = listeners[0].getsockname()[1]
    settings = settings.model_copy(update={"server": settings.server.model_copy(update={"port": port})})
    print(_what_next(settings), file=sys.stderr, flush=True)
    for warning in warnings.of(settings.access, settings.server):
        _log.warning("%s", warning)
    audit(Record("key", "signs", "server", what=ring.signing.key_id))
    # On disk it is beside the content, where it is swept if it is left behind.
    beside = root / "temp" if root else None
    with tempfile.TemporaryDirectory(prefix="metrics-", dir=beside) as counts:
        if settings.server.workers > 1:
            metrics.share(counts)
        served = workers.run(workers.Worker(wire, settings, settings.server.workers), listeners)
    return 0 if served else 1


def wire(settings: Settings, supervisor: int | None = None) -> Wired:
    """What serves, for a process that leaves with its supervisor."""
    logs.to_stderr()
    place = storages.opened(settings)
    store = _store(settings, place.driver, place.quotas)
    ring = keyring.ring(settings.signing, place.folder)
    cache = HotCache(settings.storage.cache.memory)
    counts = Metrics(cache, place.remembered)
    temp = place.temp
    inspectors, ahead = Inspectors(temp), Inspectors(temp, ahead=True)
    signer = Signer(ring, known_as(settings), bundles=settings.signing.bundles)
    examiner = Examiner(inspectors, Foresight(ahead), _spool_in(temp))
    verifier = Verifier(keyring.verification(settings), known_as(settings))
    audit = _audit(settings)
    certificate = _certificate(settings.server)
    publisher = Publisher(examiner, signer, settings.policy, verifier, audit)
    seen = Audiences(Seal())
    door = _door(settings, seen, place.folder, audit)
    pulled = Pulled()
    services = Services(
        rules=settings.access.rights,
        door=door,
        challenges=Challenges(known_url(settings), door.tokens.service if door.tokens else ""),
        store=store,
        pulls=_store(settings, place.pulls),
        publisher=publisher,
        examiner=examiner,
        answers=_HotAnswers(cache, place.peek),
        flights=Flights(),
        metrics=counts,
        bodies=Bodies(settings.limits.manifest),
        ring=ring,
        public_url=settings.server.public_url or "",
        capabilities=_capabilities(settings, place.folder),
        verifier=verifier,
        remembered=place.remembered,
        locates=place.locates,
        opens=place.opens,
        origins=Origins(Proxies(settings.server.trusted_proxies)),
        audit=audit,
        certificates=lambda: [certificate.ending] if certificate else [],
        pulled=pulled,
    )
    age = settings.timeouts.uploads.total_seconds()
    beside = [
        Chore(min(_SWEEP_EVERY, age), partial(chores.sweep, store, age)),
        Chore(_COUNT_EVERY, partial(chores.count, counts)),
        chores.collecting(settings, place.driver, place.temp, counts.collections),
        *chores.accounting(place.quotas, settings.gc.interval.total_seconds(), counts.quotas),
        chores.keeping(pulled, store),
        chores.announcing(place.driver, settings.access.known_robots, counts.endings),
    ]
    if supervisor is not None:
        beside.append(Chore(_COUNT_EVERY, partial(workers.leave_with, supervisor)))
    if certificate is not None:
        beside.append(Chore(_LOOK_EVERY, partial(chores.renew, certificate, counts.endings)))
    to_close = (
        partial(chores.keep_last, pulled, store),
        publisher.close,
        inspectors.close,
        ahead.close,
        door.close,
        place.close,
    )
    app = Starlette(
        routes=choke.guarded(ROUTES, services),
        exception_handlers=errors.HANDLERS,
        lifespan=partial(_lifespan, to_close, beside),
    )
    app.router.redirect_slashes = False
    timeouts = settings.timeouts
    patience = Patience(
        head_seconds=timeouts.head.total_seconds(),
        min_rate=timeouts.body_rate,
        stall_seconds=timeouts.stall.total_seconds(),
        connections=workers.most_connections(),
    )
    # Who is known to nobody is not told from others by what is shown.
    identify = (lambda _: EVERYBODY) if door.is_open else seen.identify
    protocol = hot_protocol(cache, place.peek, identify, patience, seen.seal, pulled)
    return Wired(app, protocol, certificate.context if certificate else None, protocol.watch.end)


@contextlib.asynccontextmanager
async def judging(settings: Settings) -> AsyncIterator[tuple[Store, Examiner]]:
    """The content that `serve` serves with these settings, and who examines it; nothing is made anew.

    Raises StoreUnavailable where there is no content, FormatUnknown.
    """
    async with storages.existing(settings) as place:
        inspectors = Inspectors(place.temp)
        try:
            store = _store(settings, place.driver)
            yield store, Examiner(inspectors, Foresight(inspectors), _spool_in(place.temp))
        finally:
            await inspectors.close()


def _listen(server: Server) -> list[socket.socket]:
    try:
        return workers.listen(server.host, server.port, server.workers)
    except OSError as error:
        raise OSError(
            f"{server.host} port {server.port} cannot be listened on: {error.strerror}. "
            "Choose another one with --host and --port."
        ) from None


def known_as(settings: Settings) -> str:
    """How the registry is known from outside, `HOST[:PORT]`: never what a client says."""
    if settings.server.public_url:
        return urlsplit(settings.server.public_url).netloc
    host = settings.server.host
    if host in ("0.0.0.0", "::"):  # noqa: S104
        host = "localhost"
    return f"[{host}]:{settings.server.port}" if ":" in host else f"{host}:{settings.server.port}"


def known_url(settings: Settings) -> str:
    """The URL under which the registry is known from outside."""
    scheme = "https" if settings.server.tls.is_on else "http"
    return settings.server.public_url or f"{scheme}://{known_as(settings)}"


def _certificate(server: Server) -> Certificate | None:
    """What is served by TLS, if that is set; raises CertificateInvalid."""
    certificate, key = server.tls.certificate, server.tls.key
    return Certificate(Path(certificate), Path(key)) if certificate and key else None


def _audit(settings: Settings) -> Audit:
    """Raises StoreUnavailable for a file that cannot be written."""
    audit = settings.audit
    try:
        return sink.opened(audit.file, audit.size, audit.keep)
    except OSError as error:
        raise StoreUnavailable(
            f"audit.file {audit.file} cannot be written: {error.strerror or error}.",
            fix='Make its folder and let this user write there, or write audit: {file: "-"} for stdout.',
        ) from None


def _door(settings: Settings, seen: Audiences, root: Path | None, audit: Audit = silent) -> Door:
    """Raises StoreUnavailable for what cannot be read, TokenKeyInvalid for a key that is none."""
    access = settings.access
    try:
        users = UserFile(Path(access.htpasswd) if access.htpasswd else None, access.known_robots)
    except OSError as error:
        raise StoreUnavailable(
            f"access.htpasswd {access.htpasswd} cannot be read: {error.strerror or error}.",
            fix=f"Make it by `sidecargo users add NAME --file {access.htpasswd}` and let this user read it.",
        ) from None
    tokens = None
    if access.tokens.is_on:
        # Here: a server that gives no tokens needs none of it.
        from registry.access.tokens import Tokens  # noqa: PLC0415

        key = keyring.token_key(access.tokens.key, root)
        lifetime = access.tokens.lifetime.total_seconds()
        tokens = Tokens(key, known_url(settings), known_as(settings), lifetime)
    known = issuers.federation(access)
    return Door(users, seen, tokens, is_open=not access.is_used, federation=known, audit=audit)


def _capabilities(settings: Settings, root: Path | None) -> Capabilities:
    """Raises StoreUnavailable for a key that cannot be read, CapabilityKeyInvalid for one that is none."""
    access = settings.access
    return Capabilities(keyring.url_keys(access.urls.keys, root) if access.rules else ())


class _HotAnswers:
    """The hot path's cache as the resources see it."""

    def __init__(self, cache: HotCache, store: Peek) -> None:
        self._cache = cache
        self._store = store
        self.largest = cache.largest
        self.holds = cache.holds

    def offer(
        self,
        path: bytes,
        audience: Hashable,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        witness: Witness,
        pulled: str = "",
    ) -> None:
        self._cache.offer(path, audience, headers, body, witness, pulled)

    def known(self, path: bytes, audience: Hashable, witness: Witness) -> bytes | None:
        entry = self._cache.find((path, audience))
        return entry.body if entry is not None and entry.witness == witness else None

    def last(self, path: bytes, audience: Hashable) -> tuple[list[tuple[bytes, bytes]], bytes] | None:
        entry = self._cache.find((path, audience))
        if entry is None or not entry.witness.holds(self._store):
            return None
        return entry.header_list(), entry.body


def _store(settings: Settings, driver: Driver, quotas: Quotas | None = None) -> Store:
    history = settings.tags.history.total_seconds()
    lends = not settings.access.rules  # with rules nothing is mounted without its repository
    upload = settings.limits.upload
    return Store(driver, upload_limit=upload, tag_history=history, lends=lends, quotas=quotas)


def _spool_in(folder: Path) -> Callable[[], BinaryIO]:
    return lambda: cast(BinaryIO, tempfile.TemporaryFile(dir=folder))


@contextlib.asynccontextmanager
async def _lifespan(
    close: Sequence[Callable[[], Awaitable[None]]], beside: Sequence[Chore], app: Starlette
) -> AsyncIterator[None]:
    del app
    workers.use_threads()
    async with contextlib.AsyncExitStack() as to_end:
        for one in reversed(close):
            to_end.push_async_callback(one)
        async with chores.under_way(beside):
            yield


def _what_next(settings: Settings) -> str:
    host = known_as(settings)
    url = known_url(settings)
    return f"""\
Sidecargo serves {url}, content in {settings.storage.url}
  push  docker push {host}/team/wasm:v1      an image FROM scratch with COPY main.wasm ./plugin.wasm
        sidecargo push main.wasm {host}/team/wasm:v1
  pull  oci://{host}/team/wasm:v1            by Istio and Envoy Gateway
        {url}/plugins/team/wasm:v1/plugin.wasm
  page  {url}/plugins/
  key   {url}/keys/cosign.pub                cosign verify --key …"""
