"""A token service for a real registry: ES256 tokens for whoever is known (distribution, spec/auth/token)."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.registry.client.scripted import Asked, Said

ISSUER, SERVICE, KEY_ID = "tests", "registry", "k1"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Gives tokens to whoever sends one of `known` Authorization headers or refresh tokens."""

    known: frozenset[str]
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def jwks(self) -> str:
        """The public key, as the registry reads it."""
        numbers = self.key.public_key().public_numbers()
        key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID}
        point = {"x": _b64(numbers.x.to_bytes(32, "big")), "y": _b64(numbers.y.to_bytes(32, "big"))}
        return json.dumps({"keys": [key | point]})

    def __call__(self, asked: Asked) -> Said:
        """Answer a request for a token."""
        form = parse_qs(asked.body.decode())
        query = parse_qs(urlsplit(asked.path).query) | form
        shown = form["refresh_token"][0] if "refresh_token" in form else asked.authorization
        if shown not in self.known:
            return Said(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}')
        scopes = [scope for several in query["scope"] for scope in several.split()]
        name = "access_token" if "refresh_token" in form else "token"
        return Said(body=json.dumps({name: self._token(query["service"][0], scopes)}).encode())

    def _token(self, service: str, scopes: list[str]) -> str:
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": "alice", "aud": service, "jti": "1", "access": access}
        claims |= {"iat": now, "nbf": now - 60, "exp": now + 300}
        head = {"typ": "JWT", "alg": "ES256", "kid": KEY_ID}
        signed = f"{_b64(json.dumps(head).encode())}.{_b64(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
