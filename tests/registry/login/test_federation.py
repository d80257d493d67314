"""The door, for those who are known elsewhere."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from registry.access.claims import Naming, Template
from registry.access.credentials import Password
from registry.access.idtokens import SKEW
from registry.access.issuers import Issuer
from registry.access.principal import Principal
from registry.access.seal import Seal
from registry.access.tokens import Tokens
from registry.audit.record import Origin, Record
from registry.login.asking import Asking
from registry.login.audiences import Audiences
from registry.login.door import Door
from registry.login.federation import Federation
from registry.login.provider import Client, Place, Provider
from registry.login.userfile import UserFile
from storage.errors import IssuerUnavailable, Unauthorized
from tests.registry.issuer import KEYS, IssuerServer, running

HERE = "192.0.2.1"
KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)  # fmt: skip
NAMING = Naming(Template.parse("{sub}"), (Template.parse("repo:{repository}"),))
APP = {"repository": "octo/app"}


class Clock:
    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Entrance:
    issuer: IssuerServer
    clock: Clock
    records: list[Record]
    known: Issuer
    tokens: Tokens | None

    def door(self, *revoked: str, known: Issuer | None = None) -> Door:
        asking = Asking()
        provider = Provider(known or self.known, Place(), asking, Client("page"))
        federation = Federation([provider], {"repo:octo/app"}, revoked, asking)
        return Door(
            UserFile(None),
            Audiences(Seal(), clock=lambda: 0.0),
            self.tokens,
            federation=federation,
            audit=self.records.append,
            clock=self.clock,
        )


@pytest.fixture
def issuer() -> Iterator[IssuerServer]:
    with running() as issuer:
        yield issuer


@pytest.fixture
def entrance(issuer: IssuerServer) -> Entrance:
    clock = Clock()
    known = Issuer("github", issuer.url, "sidecargo", NAMING, ("RS256",))
    return Entrance(issuer, clock, [], known, Tokens(KEY, "https://x", "x", 300, clock))


@pytest.fixture
async def door(entrance: Entrance) -> AsyncIterator[Door]:
    door = entrance.door()
    yield door
    await door.close()


def basic(secret: str, name: str = "any") -> bytes:
    return b"Basic " + base64.b64encode(f"{name}:{secret}".encode())


def password(token: str) -> Password:
    return Password("any", token.encode())


async def enter(door: Door, shown: bytes) -> Principal:
    return await door.enter([shown], Origin(HERE, "r1"))


async def refused(door: Door, shown: bytes) -> Unauthorized:
    with pytest.raises(Unauthorized) as refusal:
        await enter(door, shown)
    return refusal.value


@pytest.mark.parametrize("show", [basic, lambda token: f"Bearer {token}".encode()], ids=["basic", "bearer"])
async def test_an_identity_token_as_a_password_and_by_itself(
    door: Door, issuer: IssuerServer, show: Any
) -> None:
    found = await enter(door, show(issuer.token(sub="repo:octo/app", **APP)))
    assert (found.name, found.groups) == ("oidc:github/repo:octo/app", {"repo:octo/app"})
    assert (found.address, found.scopes) == (HERE, None)
    other = await enter(door, show(issuer.token(repository="octo/other")))
    assert other.groups == frozenset(), "what no rule names gives nothing"


async def test_who_left_a_group_is_out_of_it_with_the_next_token(door: Door, issuer: IssuerServer) -> None:
    before, after = (basic(issuer.token(repository=f"octo/{name}")) for name in ("app", "other"))
    for _ in range(2):  # looked at, then remembered
        found = [await enter(door, shown) for shown in (before, after)]
        assert {one.name for one in found} == {"oidc:github/x"}
        assert [one.groups for one in found] == [{"repo:octo/app"}, frozenset()]
    seen = [door._audiences.identify(door._audiences.seal(shown)) for shown in (before, after)]
    assert None not in seen and seen[0] != seen[1], "what was answered to one is not for the other"


async def test_it_is_looked_at_once_for_all_and_never_beyond_its_end(
    door: Door, entrance: Entrance, issuer: IssuerServer
) -> None:
    shown = basic(issuer.token(seconds=100, **APP))
    everybody = await asyncio.gather(*(enter(door, shown) for _ in range(50)))
    assert {one.name for one in everybody} == {"oidc:github/x"}
    assert len(door._right._held) == 1
    entrance.clock.ahead = 100 + SKEW - 20
    await enter(door, shown)
    assert door._audiences.identify(door._audiences.seal(shown)) is not None
    entrance.clock.ahead = 100 + SKEW + 1
    assert (await refused(door, shown)).message == "the identity token is over."


async def test_what_is_wrong_is_said_recorded_and_slows_down_nobody(
    door: Door, entrance: Entrance, issuer: IssuerServer
) -> None:
    for _ in range(20):
        refusal = await refused(door, basic(issuer.token("another registry")))
    assert refusal.message == "the identity token is not for the audience sidecargo."
    assert refusal.reason == "invalid_token"
    record = Record("login", "failed", "oidc:github", Origin(HERE, "r1"), problems=("audience",))
    assert entrance.records == [record] * 20
    assert len(door._slowness) == 0
    forged = issuer.token(kid="one")[:-8] + "AAAAAAAA"
    assert "signature" in (await refused(door, basic(forged))).message


async def test_a_token_without_a_key_s_id_is_no_reason_to_ask(door: Door, issuer: IssuerServer) -> None:
    claims, key = {"iss": issuer.url, "aud": "sidecargo"}, issuer.key("one")
    for head in ({}, {"kid": ""}):
        shown = basic(jwt.encode(claims, key, "RS256", head))
        assert "a key that its issuer does not have" in (await refused(door, shown)).message
    assert issuer.asked == []


async def test_of_two_that_are_called_the_same_the_key_says_which(
    entrance: Entrance, issuer: IssuerServer
) -> None:
    """As clusters are: most call themselves the same."""
    with running() as other:
        other.key("two")
        asking = Asking()
        providers = [
            Provider(replace(entrance.known, name=name), Place(keys=one.url + KEYS), asking)
            for name, one in (("a", issuer), ("b", other))
        ]
        federation = Federation(providers, (), (), asking)
        door = Door(
            UserFile(None), Audiences(Seal()), None, federation=federation, audit=entrance.records.append
        )
        mine, theirs = issuer.token(), other.token(kid="two", iss=issuer.url)
        assert [(await enter(door, basic(one))).name for one in (mine, theirs)] == ["oidc:a/x", "oidc:b/x"]
        asked = issuer.asked + other.asked
        nobody_s = jwt.encode({"iss": issuer.url}, issuer.key("one"), "RS256", {"kid": ""})
        assert "a key that its issuer does not have" in (await refused(door, basic(nobody_s))).message
        assert issuer.asked + other.asked == asked
        await door.close()
        other.answers[KEYS] = b""
        asking = Asking()
        providers = [Provider(one.issuer, one._place, asking) for one in providers]
        door = Door(UserFile(None), Audiences(Seal()), None, federation=Federation(providers, asking=asking))
        assert (await enter(door, basic(mine))).name == "oidc:a/x"
        with pytest.raises(IssuerUnavailable, match="b, which says who you are, does not answer"):
            await enter(door, basic(theirs))
        await door.close()


async def test_a_token_of_nobody_who_is_known_is_a_password_like_any(
    door: Door, issuer: IssuerServer
) -> None:
    with running() as stranger:
        assert (await refused(door, basic(stranger.token()))).message == "the name or the password is wrong."
        assert (await refused(door, f"Bearer {stranger.token()}".encode())).message.startswith("the token is")
        assert stranger.asked == [], "nobody is asked whom the settings do not name"


async def test_while_the_issuer_is_silent_others_still_come_in(
    door: Door, issuer: IssuerServer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.answers[KEYS] = b""
    with pytest.raises(IssuerUnavailable, match="github, which says who you are, does not answer"):
        await enter(door, basic(issuer.token()))
    assert not isinstance(await refused(door, basic("scr_" + "a" * 43)), IssuerUnavailable)
    assert issuer.url in caplog.text


async def test_tokens_for_a_short_time_have_the_groups_and_end_with_what_they_were_got_by(
    door: Door, entrance: Entrance, issuer: IssuerServer
) -> None:
    assert door.tokens is not None
    found = await enter(door, basic(issuer.token(seconds=60, **APP)))
    identity = await door.prove(
        password(issuer.token(seconds=60, **APP)), Origin(HERE)
    )  # fmt: skip
    issued = door.tokens.access(identity, [])
    assert issued.seconds in range(60, 60 + int(SKEW) + 1)
    by_token = await enter(door, f"Bearer {issued.token}".encode())
    assert (by_token.name, by_token.groups) == (found.name, found.groups)
    assert by_token.scopes == frozenset()
    changed = entrance.door(known=replace(entrance.known, naming=Naming(Template.parse("{repository}"))))
    await refused(changed, f"Bearer {issued.token}".encode())
    await changed.close()


async def test_personal_tokens(door: Door, entrance: Entrance, issuer: IssuerServer) -> None:
    assert door.tokens is not None
    identity = await door.prove(password(issuer.token(seconds=60, **APP)), Origin(HERE))
    personal = door.tokens.personal(identity, 1000)
    assert personal.token not in repr(personal) and personal.token.startswith("scp_")
    for shown in (basic(personal.token), basic(personal.token, "alice"), f"Bearer {personal.token}".encode()):
        found = await enter(door, shown)
        assert (found.name, found.groups, found.scopes) == (identity.name, {"repo:octo/app"}, None)
    entrance.clock.ahead = 500
    await enter(door, basic(personal.token))
    entrance.clock.ahead = 1100
    assert "is over" in (await refused(door, basic(personal.token))).message


async def test_personal_tokens_are_revoked(entrance: Entrance, door: Door, issuer: IssuerServer) -> None:
    """And with them the tokens for a short time that were got by them."""
    assert door.tokens is not None
    identity = await door.prove(password(issuer.token(**APP)), Origin(HERE))
    lost, kept = (door.tokens.personal(identity, 1000).token for _ in range(2))
    short = {}
    for personal in (lost, kept):
        by_it = await door.prove(password(personal), Origin(HERE))
        short[personal] = f"Bearer {door.tokens.access(by_it, []).token}".encode()
        assert (await enter(door, short[personal])).groups == {"repo:octo/app"}
    one = entrance.door(door.tokens.read_personal(lost).by)
    await refused(one, basic(lost))
    await enter(one, basic(kept))
    await refused(one, short[lost])
    await enter(one, short[kept])
    everyone = entrance.door("oidc:github/x")
    await refused(everyone, basic(kept))
    await refused(everyone, short[kept])
    await enter(everyone, basic(issuer.token()))
    changed = entrance.door(known=replace(entrance.known, url="https://other.example"))
    await refused(changed, basic(kept))
    await refused(changed, short[kept])
    assert [record.problems for record in entrance.records] == [("revoked",)] * 3
    for other in (one, everyone, changed):
        await other.close()


@pytest.mark.parametrize("shown", ["scp_", "scp_x.y.z", "SCP", "scp_" + "a" * 20000])
async def test_what_only_looks_like_a_personal_token(entrance: Entrance, shown: str) -> None:
    for tokens in (entrance.tokens, None):
        entrance.tokens = tokens
        door = entrance.door()
        await refused(door, basic(shown))
        await door.close()


async def test_no_kind_of_token_is_taken_for_another(door: Door, issuer: IssuerServer) -> None:
    assert door.tokens is not None
    identity = await door.prove(password(issuer.token(**APP)), Origin(HERE))
    personal, access = door.tokens.personal(identity, 1000).token, door.tokens.access(identity, []).token
    refresh = door.tokens.refresh(identity)
    for wrong in (f"scp_{access}", f"scp_{refresh}", f"scp_scp_{personal}"):
        await refused(door, basic(wrong))
    for wrong in (personal.removeprefix("scp_"), refresh, issuer.token("x")):
        await refused(door, f"Bearer {wrong}".encode())


async def test_nothing_that_is_remembered_is_a_credential(door: Door, issuer: IssuerServer) -> None:
    token = issuer.token(**APP)
    await enter(door, basic(token))
    held = repr([door._right._held, door._audiences._known, door.federation.__dict__])
    assert "oidc:github/x" in held and token[-40:] not in held
