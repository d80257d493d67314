"""Quotas over HTTP: what of a push is refused, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.shapes import B
from tests.registry.talk import fresh


def test_a_manifest_that_does_not_fit_is_refused_and_told_again(
    serve: Callable[..., Sidecargo], tmp_path: Path
) -> None:
    room = sum(map(len, B.blobs.values())) + len(B.body) - 1
    settings = tmp_path / "s.yaml"
    settings.write_text(f'limits: {{quota: [{{repositories: "**", bytes: {room}}}]}}\n')
    server = serve(settings=settings)
    registry = fresh(server.host)
    registry.content(B)
    refused = registry.put("v1", B.body)
    assert (refused.status, refused.code) == (403, "DENIED")
    assert refused.error["detail"] == {
        "repositories": "**",
        "allowed": room,
        "used": room + 1 - len(B.body),
        "size": len(B.body),
    }
    report = registry.ask("GET", f"/plugins/{registry.name}:v1", {"Accept": "application/json"})
    assert "the quota of **" in report.body.decode()
    assert registry.ask("HEAD", f"{registry.base}/manifests/v1").status == 404

    # With the last byte taken nothing is begun, and nothing is mounted.
    registry.blob(bytes(len(B.body) - 1))
    digest = next(iter(B.blobs))
    other = registry.other()
    query = f"?mount={digest}&from={registry.name}"
    assert registry.ask("POST", f"{other.base}/blobs/uploads/{query}").code == "DENIED"

    assert registry.ask("POST", f"{other.base}/blobs/uploads/").code == "DENIED"

    assert registry.ask("DELETE", f"{registry.base}/blobs/{digest}").status == 202
    assert registry.ask("POST", f"{other.base}/blobs/uploads/").status == 202
