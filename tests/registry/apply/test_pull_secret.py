import base64
import json

import yaml

from registry.apply.pull_secret import Login, render


def test_it_is_what_agents_read() -> None:
    secret = yaml.safe_load(render(Login("plugins.example.com", "deploy", "s3cret"), "deploy-pull", "mesh"))
    assert secret["metadata"] == {"name": "deploy-pull", "namespace": "mesh"}
    assert (secret["kind"], secret["type"]) == ("Secret", "kubernetes.io/dockerconfigjson")
    config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    entry = config["auths"]["plugins.example.com"]
    assert (entry["username"], entry["password"]) == ("deploy", "s3cret")
    assert base64.b64decode(entry["auth"]) == b"deploy:s3cret"


def test_without_a_namespace_it_is_where_it_is_applied() -> None:
    assert "namespace" not in render(Login("h", "n", "s"), "x")
    assert "s3cret" not in repr(Login("h", "n", "s3cret"))
