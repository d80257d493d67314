"""An issuer of identity tokens: a server with keys, a page to sign in, and tokens for what that gave."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT, SECRET = "sidecargo-page", "s3cr3t of the client"
JWK_SET = "application/jwk-set+json"
DISCOVERY, KEYS, TOKEN = "/.well-known/openid-configuration", "/keys", "/oauth/token"


@dataclass
class Given:
    """What the page to sign in was asked for, and whom it lets in."""

    asked: dict[str, str]
    claims: dict[str, Any]


@dataclass
class IssuerServer:
    """What it signs with, what it was asked (`METHOD PATH`), and how it fails when it is to.

    `document` is in the place of what discovery says, `answers` of bodies by path, `status` of 200.
    """

    url: str = ""
    kid: str = "one"
    keys: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    bearers: list[str] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    status: int = 200
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "alice"})
    given: dict[str, Given] = field(default_factory=dict)

    def token(self, audience: str = "sidecargo", kid: str = "", seconds: float = 300, **claims: Any) -> str:
        """An identity token that is right."""
        now = int(time.time())
        said = {"iss": self.url, "aud": audience, "sub": "x", "iat": now, "exp": now + int(seconds)} | claims
        kid = kid or self.kid
        return jwt.encode(said, self.key(kid), "RS256", {"kid": kid})

    def key(self, kid: str) -> Any:
        if kid not in self.keys:
            self.keys[kid] = rsa.generate_private_key(65537, 2048)
        return self.keys[kid]

    @property
    def jwks(self) -> bytes:
        entries = [
            {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "key_ops": ["verify"], "kid": kid}
            for kid, key in self.keys.items()
        ]
        return json.dumps({"keys": entries}).encode()

    def discovery(self) -> bytes:
        said = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}{KEYS}",
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}{TOKEN}",
        }
        return json.dumps(said | self.document).encode()

    def signed_in(self, query: str) -> str:
        """Where a browser is sent back to, once somebody has signed in."""
        asked = dict(parse_qsl(query))
        code = secrets.token_urlsafe(16)
        self.given[code] = Given(asked, dict(self.person))
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def redeemed(self, form: dict[str, list[str]], authorization: str) -> tuple[int, dict[str, Any]]:
        """RFC 6749 (4.1.3) and RFC 7636 (4.6): a code is good once, for who asked."""
        given = self.given.pop(form["code"][0], None)
        both = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        verifier = form["code_verifier"][0]
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        right = (
            given is not None
            and both == urlencode({CLIENT: SECRET}).replace("=", ":", 1)
            and given.asked["code_challenge"] == challenge
            and given.asked["code_challenge_method"] == "S256"
            and form["redirect_uri"] == [given.asked["redirect_uri"]]
        )
        if given is None or not right:
            return 400, {"error": "invalid_grant"}
        claims = {"nonce": given.asked["nonce"]} | given.claims
        return 200, {"id_token": self.token(CLIENT, **claims), "token_type": "Bearer"}


@contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[IssuerServer]:
    """An issuer that runs on this machine; with a context it speaks TLS."""
    issuer = IssuerServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = urlsplit(self.path)
            issuer.asked.append(f"GET {found.path}")
            issuer.bearers.append(self.headers.get("Authorization", ""))
            if found.path == "/auth":
                self.send(302, b"", Location=issuer.signed_in(found.query))
            elif found.path in issuer.answers:
                self.send(issuer.status, issuer.answers[found.path])
            elif found.path == DISCOVERY:
                self.send(issuer.status, issuer.discovery())
            elif found.path == KEYS:
                # As Kubernetes does: only to who takes what a set of keys is.
                taken = JWK_SET in self.headers.get("Accept", "")
                self.send(issuer.status if taken else 406, issuer.jwks, **{"Content-Type": JWK_SET})
            else:
                self.send(404, b"")

        def do_POST(self) -> None:
            issuer.asked.append(f"POST {self.path}")
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, said = issuer.redeemed(parse_qs(body), self.headers.get("Authorization", ""))
            self.send(status, json.dumps(said).encode())

        def send(self, status: int, body: bytes, **fields: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **fields}.items():
                self.send_header(name, value)
            if status == 307:
                self.send_header("Location", KEYS)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        issuer.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        issuer.key(issuer.kid)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
