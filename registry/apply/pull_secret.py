"""The Secret with which agents log in to a registry (Kubernetes, `kubernetes.io/dockerconfigjson`)."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

from registry.apply import text


@dataclass(frozen=True, slots=True)
class Login:
    """A registry's HOST[:PORT], and who logs in there with what."""

    host: str
    name: str
    secret: str = field(repr=False)


def render(login: Login, name: str, namespace: str = "") -> str:
    """The Secret called `name`, as YAML."""
    auth = base64.b64encode(f"{login.name}:{login.secret}".encode()).decode()
    entry = {"username": login.name, "password": login.secret, "auth": auth}
    config = json.dumps({"auths": {login.host: entry}})
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return text.document(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
        }
    )
