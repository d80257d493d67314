"""A registry with rules, who is known to it, and what it holds."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType

from registry.access.robots import hashed
from tests.real import sidecargo
from tests.real.process import Word
from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.build import Shape
from tests.registry.consumers.shapes import B
from tests.registry.talk import Answer, Registry

PASSWORD = "open sesame"
# bcrypt of it, at the least cost.
HASH = "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"
SECRET = "scr_" + "a" * 43
PRIVATE, PUBLIC, ABSENT = "team/x", "public/x", "team/y"
GROUP = "repo:octo/app"
USERS = ("puller", "pusher", "other", "admin", "idle")
RULES = (
    ("team/**", "user:puller", "pull"),
    ("team/**", "user:pusher", "pull push"),
    ("team/**", "robot:deploy", "pull push"),
    ("team/**", f"group:{GROUP}", "pull push"),
    ("other/**", "user:other", "pull push delete"),
    ("**", "user:admin", "pull push delete admin"),
    ("public/**", "anonymous", "pull"),
)
ROBOTS = (
    {"name": "deploy", "secrets": [hashed(SECRET.encode())]},
    {"name": "gone", "secrets": [hashed(SECRET.encode())], "expires": "2020-01-01"},
)
_numbers = count()


def basic(name: str, secret: str = PASSWORD) -> dict[str, str]:
    """The field that shows a name and a password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def stranger(secret: str = PASSWORD) -> dict[str, str]:
    """A name that nobody has, and no one tried before: who tries again is slowed down."""
    return basic(f"stranger{next(_numbers)}", secret)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server with RULES that holds the same plugin in PRIVATE and in PUBLIC, and the digest of it."""

    server: Sidecargo
    users: Path

    @property
    def gives_tokens(self) -> bool:
        """Whether it asks for a token where a login is missing."""
        return self.ask("GET", "/v2/")["www-authenticate"].startswith("Bearer ")

    @property
    def host(self) -> str:
        return self.server.host

    def ask(
        self, method: str, path: str, fields: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        return Registry(self.host, "").ask(method, path, fields, body)

    def push(self, name: str, fields: Mapping[str, str], shape: Shape = B) -> Answer:
        """Push an image there as whoever `fields` show; the answer to the PUT of its manifest."""
        base = f"/v2/{name}"
        for digest, data in shape.blobs.items():
            path = f"{base}/blobs/uploads/?digest={digest}"
            answer = self.ask("POST", path, fields, data)
            assert answer.status == 201, answer
        return self.ask(
            "PUT", f"{base}/manifests/v1", {"Content-Type": shape.media_type, **fields}, shape.body
        )


def start(
    folder: Path,
    *flags: str,
    access: Mapping[str, object] | None = None,
    server: Mapping[str, object] | None = None,
    port: int | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
    within: Sequence[Word] = (),
    **more: object,
) -> Guarded:
    """Start one on `folder`; `access` and `server` have more of those sections, `more` other settings.

    `variables` and `within` are as for `sidecargo.start`.
    """
    users, settings = folder / "users", folder / "settings.yaml"
    users.write_text("".join(f"{name}:{HASH}\n" for name in USERS))
    rules = [{"repositories": names, "who": [who], "may": may.split()} for names, who, may in RULES]
    section = {"htpasswd": str(users), "robots": list(ROBOTS), "rules": rules, **(access or {})}
    settings.write_text(json.dumps({"access": section, "server": server or {}, **more}))
    guarded = Guarded(
        sidecargo.start(folder, *flags, port=port, settings=settings, variables=variables, within=within),
        users,
    )
    for name in (PRIVATE, PUBLIC):
        assert guarded.push(name, basic("admin")).status == 201
    return guarded
