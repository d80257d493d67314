"""A real Kubernetes API server (`kube/main.go`) and what is asked of it: ServiceAccounts, pods, tokens.

It has no controllers, no scheduler and no kubelet: nothing runs in its pods, and what kubelet would do with a
token's file, tests do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.real.process import Process, Word, free_port
from tests.real.tools import require
from tests.real.web import Answer, answers, request
from tests.registry.certificates import Authority

IN_CLUSTER = "https://kubernetes.default.svc.cluster.local"
"""What kubeadm and others have every cluster call itself."""
DISCOVERY, KEYS = "/.well-known/openid-configuration", "/openid/v1/jwks"
SHORTEST = 600
"""The fewest seconds that the API server gives a token for."""

_ADMIN = "admin-of-the-test"

SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running API server: its URL, its tokens' issuer, who signed its certificate, what it signs with."""

    url: str
    issuer: str
    ca: Path
    key: SigningKey
    process: Process

    def ask(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None = None,
        *,
        bearer: str | None = _ADMIN,
    ) -> Answer:
        """The answer to a request, by default as one who may do everything; None: as nobody."""
        body = None if document is None else json.dumps(document).encode()
        fields = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        if body is not None:
            fields["Content-Type"] = "application/json"
        return request(method, self.url + path, body=body, headers=fields, trust=self.ca)

    def account(self, namespace: str, name: str) -> None:
        """Make a ServiceAccount, and its namespace where that is not there."""
        made = self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        assert made.status in (201, 409), made
        self._made(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})

    def pod(self, namespace: str, account: str) -> dict[str, Any]:
        """Make a pod of a ServiceAccount, which has its name, and return what a token is bound to by it."""
        spec = {"serviceAccountName": account, "containers": [{"name": "main", "image": "none"}]}
        pod = self._made(
            f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": account}, "spec": spec}
        )
        return {"kind": "Pod", "apiVersion": "v1", "name": account, "uid": pod["metadata"]["uid"]}

    def token(
        self, namespace: str, account: str, *audiences: str, bound: Mapping[str, Any] | None = None
    ) -> str:
        """A token of a ServiceAccount, as kubelet asks for it; without audiences, for the API server."""
        spec = {"audiences": audiences, "expirationSeconds": SHORTEST, "boundObjectRef": bound}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return str(self._made(path, {"spec": spec})["status"]["token"])

    def delete(self, path: str) -> None:
        """Delete an object at once, without the time that a pod has to end."""
        gone = self.ask("DELETE", path, {"gracePeriodSeconds": 0})
        assert gone.status == 200, gone

    def stop(self) -> None:
        code = self.process.stop()
        assert code == 0, f"kube-apiserver exited {code}:\n{self.process.said()}"

    def _made(self, path: str, document: Mapping[str, Any]) -> Any:
        made = self.ask("POST", path, document)
        assert made.status == 201, made
        return json.loads(made.body)


def start(folder: Path, *, issuer: str = "", key: SigningKey | None = None) -> Cluster:
    """Start an API server at 127.0.0.1 and wait until it is ready.

    `issuer` is the one of its tokens, by default its own URL; `key` signs them, by default a new one.
    """
    folder.mkdir()
    url = f"https://127.0.0.1:{free_port()}"
    issuer, key = issuer or url, key or rsa.generate_private_key(65537, 2048)
    authority = Authority(folder)
    process = Process(
        [require("kube-apiserver"), folder / "etcd", *_flags(folder, url, issuer, key, authority)],
        log=folder / "kube-apiserver.log",
        folder=folder,
    )
    cluster = Cluster(url, issuer, authority.root, key, process)
    process.wait_until(lambda: answers(f"{url}/readyz", trust=authority.root))
    return cluster


def _flags(folder: Path, url: str, issuer: str, key: SigningKey, authority: Authority) -> Sequence[Word]:
    served, port = authority.make("served"), url.rpartition(":")[2]
    signing, admins = folder / "service-accounts.key", folder / "admins"
    pem, plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    signing.write_bytes(key.private_bytes(serialization.Encoding.PEM, pem, plain))
    admins.write_text(f"{_ADMIN},admin,admin,system:masters\n")
    return [
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--cert-dir={folder}",
        f"--tls-cert-file={served.certificate}",
        f"--tls-private-key-file={served.key}",
        f"--service-account-issuer={issuer}",
        f"--service-account-signing-key-file={signing}",
        f"--service-account-key-file={signing}",
        "--authorization-mode=RBAC",
        f"--token-auth-file={admins}",
    ]


def signed_again(token: str, key: SigningKey, **claims: object) -> str:
    """A token with other claims, which no API server gives, signed as the one that has `key` would.

    The header stays, and with it the name of the key.
    """
    header = jwt.get_unverified_header(token)
    found = jwt.decode(token, options={"verify_signature": False})
    kept = {name: value for name, value in header.items() if name != "typ"}
    return jwt.encode(found | claims, key, header["alg"], headers=kept)


def over(token: str, key: SigningKey) -> str:
    """The same, of an hour ago: the shortest that there is lasts ten minutes."""
    ago = time.time() - 3600
    return signed_again(token, key, iat=ago - SHORTEST, nbf=ago - SHORTEST, exp=ago)


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, not verified."""
    return jwt.decode(token, options={"verify_signature": False})
