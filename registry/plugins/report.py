"""`/plugins/REPO:TAG`: what the gate found; JSON for programs, a page for people."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from registry.api.call import Call
from registry.plugins import find
from registry.publish.plugins import Plugin
from registry.web import pages
from storage.digest import Digest


async def get(call: Call) -> Response:
    """The report of the manifest that the path names."""
    descriptor, _, plugin = await find.plugin(call)
    report = document(call, descriptor.digest, plugin)
    if pages.wanted(call):
        return pages.render(call, "report.html", report=report)
    return pages.document(report)


def document(call: Call, digest: Digest, plugin: Plugin) -> dict[str, Any]:
    """The report as JSON: the verdict a consumer, the module, and which digest to pin where."""
    name = call.repository.name
    module = None
    if plugin.module:
        module = {
            "sha256": plugin.module.hex,
            "size": plugin.size,
            "abi": plugin.abi,
            "sdk": plugin.sdk,
            "path": f"/plugins/{name}@{digest}/plugin.wasm",
        }
    return {
        "repository": name,
        "reference": str(call.reference()),
        "digest": str(digest),
        "ok": plugin.ok,
        "consumers": {
            verdict.consumer: {
                "ok": verdict.ok,
                "problems": [problem.to_json() for problem in verdict.problems],
            }
            for verdict in plugin.verdicts
        },
        "module": module,
        "pin": {"oci": str(plugin.image), "http": plugin.module.hex if plugin.module else None},
    }
