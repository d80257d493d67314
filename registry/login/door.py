"""The door: from a request's `Authorization` to who asks."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from registry.access import credentials, robots
from registry.access.credentials import Bearer, CredentialUnreadable, Password
from registry.access.identities import Identity, RobotExpired
from registry.access.idtokens import IdTokenRefused
from registry.access.issued import Claims, TokenInvalid, is_personal
from registry.access.principal import OIDC, Principal, is_name
from registry.access.robots import Robot
from registry.access.slowness import LONGEST, Slowness
from registry.audit.record import Audit, Origin, Record, silent
from registry.login.audiences import Audiences
from registry.login.federation import Federation
from registry.login.passwords import Passwords
from registry.login.provider import Provider
from registry.login.userfile import UserFile
from storage.errors import Busy, Unauthorized

if TYPE_CHECKING:
    from registry.access.tokens import Tokens

_T = TypeVar("_T")

REMEMBERED_SECONDS = 300.0
"""How long a right credential is known by its seal; whether what proves it is kept is always looked at."""

REMEMBERED = 20_000

_PERSONAL_INVALID = "the personal token is over, or does not count any more."
_NOBODY = Identity("", "")

LATE = 3600.0
"""Seconds after the end of a token in which an upload that its holder began may still go on."""


class Door:
    """Who asks. Where `is_open`, nobody is known: all are anonymous, whatever they show."""

    def __init__(
        self,
        users: UserFile,
        audiences: Audiences,
        tokens: Tokens | None = None,
        *,
        is_open: bool = False,
        federation: Federation | None = None,
        audit: Audit = silent,
        passwords: Passwords | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._users = users
        self._audiences = audiences
        self.tokens = tokens
        self.is_open = is_open
        self.federation = federation or Federation()
        self._audit = audit
        self._passwords = passwords or Passwords()
        self._clock = clock
        self._slowness = Slowness()
        self._right: _Remembered[Identity] = _Remembered(clock)
        self._read: _Remembered[Claims] = _Remembered(clock)
        self._under_way: dict[bytes, asyncio.Task[Identity]] = {}

    @property
    def robots(self) -> Sequence[Robot]:
        """The robots of the settings, which may expire."""
        return self._users.robots

    async def enter(self, shown: Sequence[bytes], origin: Origin, *, late: bool = False) -> Principal:
        """Who asks, by the values of `Authorization` and where the request comes from.

        `late`: an upload goes on, which a token may that is over. Raises Unauthorized for a credential that
        is not right, Busy for one too many.
        """
        address = origin.address
        if self.is_open or not shown:
            return Principal("", address)
        header = shown[0].strip(b" \t")
        try:
            credential = credentials.read(header)
        except CredentialUnreadable:
            raise _unreadable() from None
        if len(shown) > 1:
            raise _unreadable()
        if credential is None:
            return Principal("", address)
        sealed = self._audiences.seal(header)
        if isinstance(credential, Bearer) and self._says_who(credential.token):
            credential = Password("", credential.token.encode())
        scopes = None
        if isinstance(credential, Bearer):
            claims = self.claims(credential, late=late)
            ends, identity, scopes = claims.ends, claims.identity or _NOBODY, claims.scopes
        else:
            identity = await self.prove(credential, origin)
            ends = identity.ends
        name, groups, proof = identity.name, identity.groups, identity.proof
        principal = Principal(name, address, groups, scopes, proof, identity.ends, identity.by)
        self._audiences.admit(sealed, principal, ends - self._clock())
        return principal

    def claims(self, bearer: Bearer, *, late: bool = False) -> Claims:
        """What a token says while its holder is known; raises Unauthorized."""
        sealed = self._audiences.seal(bearer.token.encode())
        claims = self._read.get(sealed)
        try:
            if self.tokens is None:
                raise TokenInvalid
            if claims is None or claims.ends <= self._clock():
                claims = self.tokens.read(bearer.token, LATE if late else 0.0)
                self._read.keep(sealed, claims)
        except TokenInvalid:
            raise _token_invalid() from None
        if claims.identity is not None and not self.is_known(claims.identity):
            raise _token_invalid()
        return claims

    def is_known(self, identity: Identity) -> bool:
        """Whether what proved it is still kept."""
        now = self._clock()
        if identity.name.startswith(OIDC):
            return self.federation.holds(identity, now)
        return self._users.now().holds(identity, now)

    async def prove(self, password: Password, origin: Origin) -> Identity:
        """Whose a name and a password or a robot's secret are, or an identity token or a personal one.

        With these any name will do. Raises Unauthorized, Busy, IssuerUnavailable.
        """
        sealed = self._audiences.seal(password.name.encode() + b"\0" + password.secret)
        known = self._right.get(sealed)
        if known is not None and self.is_known(known):
            return known
        # A mesh that restarts comes all at once with one credential: one look is enough for all.
        task = self._under_way.get(sealed)
        if task is None:
            task = asyncio.create_task(self._proven(password, origin))
            self._under_way[sealed] = task
            task.add_done_callback(lambda done: self._done(sealed, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Let go of the threads."""
        await self._passwords.close()
        await self.federation.close()

    def _says_who(self, token: str) -> bool:
        """Whether a token says who somebody is, not what may be done with it."""
        return is_personal(token) or self.federation.knows(token)

    def _done(self, sealed: bytes, task: asyncio.Task[Identity]) -> None:
        del self._under_way[sealed]
        if not task.cancelled() and task.exception() is None:
            self._right.keep(sealed, task.result())

    async def _proven(self, password: Password, origin: Origin) -> Identity:
        name, address, now = password.name, origin.address, self._clock()
        shown = password.secret.decode("ascii", "replace")
        # These cannot be guessed: who shows a wrong one on and on costs no slow hash, and nobody's turn.
        if is_personal(shown):
            return self._personal(shown, origin)
        if self.federation.knows(shown):
            return await self._told(await self.federation.of(shown), shown, origin)
        try:
            robot = self._users.now().robot(name, password.secret, now)
        except RobotExpired as expired:
            self._note(name, origin, "expired")
            raise Unauthorized(
                f"the robot {name} expired on {expired.robot.expires}.",
                fix="Have its date moved, or ask for a new one.",
            ) from None
        if robot is not None:
            return robot
        if robots.is_secret(password.secret):
            # A mesh whose secret was replaced tries on and on: it costs no slow hash, and nobody's turn.
            raise self._wrong(name, origin)
        tried = name if is_name(name) else ""  # whatever else it may be, and however long
        wait = self._slowness.wait(tried, address, time.monotonic())
        if wait is None:
            self._note(name, origin, "too-many")
            raise Busy(
                "too many logins failed of this name from this address.", fix=f"Wait {LONGEST:g} seconds."
            )
        await asyncio.sleep(wait)
        users = self._users.now()
        kept = users.kept(name)
        # Of a name that nobody has, a hash is looked at too: it takes the same time.
        is_right = await self._passwords.is_of(password.secret, kept or users.nobody)
        if kept is None or not is_right:
            raise self._wrong(name, origin)
        self._slowness.forgive(name, address)
        return users.user(name, kept)

    def _personal(self, shown: str, origin: Origin) -> Identity:
        try:
            if self.tokens is None:
                raise TokenInvalid
            identity = self.tokens.read_personal(shown)
        except TokenInvalid:
            raise self._refused("?", origin, "wrong", _PERSONAL_INVALID) from None
        if not self.federation.holds(identity, self._clock()):
            raise self._refused(identity.name, origin, "revoked", _PERSONAL_INVALID)
        return identity

    async def _told(self, provider: Provider, shown: str, origin: Origin) -> Identity:
        try:
            return await self.federation.identity(provider, shown, self._clock())
        except IdTokenRefused as refused:
            who = f"{OIDC}{provider.issuer.name}"
            raise self._refused(who, origin, refused.problem, refused.message) from None

    def _refused(self, who: str, origin: Origin, problem: str, message: str) -> Unauthorized:
        self._audit(Record("login", "failed", who, origin, problems=(problem,)))
        return Unauthorized(message, fix="Get another one, and log in with it.", reason="invalid_token")

    def _wrong(self, name: str, origin: Origin) -> Unauthorized:
        self._note(name, origin, "wrong")
        return Unauthorized(
            "the name or the password is wrong.",
            fix="Log in again with docker login; a robot's secret may have been replaced.",
        )

    def _note(self, name: str, origin: Origin, problem: str) -> None:
        # What is no name may be a password that was typed into the wrong field.
        tried = name if is_name(name) else "?"
        self._audit(Record("login", "failed", tried, origin, problems=(problem,)))


class _Remembered(Generic[_T]):
    """What was found for a seal, for a while; bounded."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: OrderedDict[bytes, tuple[_T, float]] = OrderedDict()

    def get(self, sealed: bytes) -> _T | None:
        found = self._held.get(sealed)
        return found[0] if found is not None and self._clock() < found[1] else None

    def keep(self, sealed: bytes, value: _T) -> None:
        self._held[sealed] = (value, self._clock() + REMEMBERED_SECONDS)
        self._held.move_to_end(sealed)
        while len(self._held) > REMEMBERED:
            self._held.popitem(last=False)


def _unreadable() -> Unauthorized:
    return Unauthorized(
        "the Authorization header cannot be read.", fix="Send Basic with a name and a password, or Bearer."
    )


def _token_invalid() -> Unauthorized:
    return Unauthorized(
        "the token is not good any more.", fix="Get a new one with docker login.", reason="invalid_token"
    )
