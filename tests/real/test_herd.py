"""A mesh that restarts: as many agents as it has sidecars come at once, cold, with one credential."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from tests.real import istio
from tests.real.process import free_port
from tests.registry import guarded as guarding
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, image, layer
from tests.registry.guarded import SECRET, basic
from tests.registry.wasm.binary import custom

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.alone]

AGENTS = 1500
SECONDS = 30
"""What istiod gives an agent for a module; a pod does not start without it."""
HOST = "plugins.example.com"


@pytest.mark.parametrize("by_token", [False, True], ids=["password", "tokens"])
def test_all_agents_load_within_their_time(tmp_path: Path, by_token: bool) -> None:
    port = free_port()
    guarded = guarding.start(
        tmp_path,
        access={"tokens": {"enabled": by_token}},
        server={"public_url": f"http://{HOST}:{port}"},
        port=port,
    )
    try:
        module = PLUGIN + custom("padding", os.urandom(256 << 10))
        plugin = image("herd", [(OCI_LAYER, layer(("plugin.wasm", module)))], None)
        assert guarded.push("team/herd", basic("admin"), plugin).status == 201
        auth = base64.b64encode(f"deploy:{SECRET}".encode()).decode()
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"auths": {f"{HOST}:{port}": {"auth": auth}}}))
        found = istio.fetch_by_many(
            AGENTS,
            f"oci://{HOST}:{port}/team/herd:v1",
            tmp_path / "agents",
            pull_secret=config,
            seconds=SECONDS,
            names={HOST: "127.0.0.1"},
        )
    finally:
        guarded.server.stop()
    assert len(found) == AGENTS
    late = [one for one in found if one.error]
    assert not late, (len(late), late[:3])
    print(f"the last of {AGENTS} had it after {max(one.seconds for one in found):.1f} s")
