"""The record of a plugin: what the gate found in a manifest, kept beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.publish.inspect import RULES, Findings
from registry.verdict import Problem, Verdict
from registry.wasm.abi import abi_version
from registry.wasm.sdk import guess
from storage.digest import Digest
from storage.errors import DigestInvalid


@dataclass(frozen=True, slots=True)
class Plugin:
    """A manifest as the gate saw it.

    `image` is the digest of the image manifest that agents compare: of an index its linux/amd64
    child. `module` and `size` (bytes) name the extracted plugin.wasm, when there is one.
    """

    image: Digest
    verdicts: tuple[Verdict, ...]
    module: Digest | None = None
    size: int = 0
    abi: str = ""
    sdk: str = ""

    @property
    def ok(self) -> bool:
        """Whether it loads everywhere."""
        return all(verdict.ok for verdict in self.verdicts)

    @property
    def findings(self) -> Findings:
        """The verdicts alone, as inspecting again would give them."""
        return Findings(self.verdicts)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A manifest that is no image by its content: a signature, an attestation, an SBOM."""


Found = Plugin | Attachment
"""What the gate made of a manifest."""


def of(findings: Findings, manifest: Digest) -> Plugin:
    """What to remember of the findings on `manifest`."""
    module = findings.module
    return Plugin(
        image=findings.image.digest if findings.image else manifest,
        verdicts=findings.verdicts,
        module=Digest("sha256", module.sha256) if module else None,
        size=module.size if module else 0,
        abi=abi_version(module) or "" if module else "",
        sdk=guess(module).value if module else "",
    )


def to_record(found: Found) -> dict[str, Any]:
    """What was found as a JSON document."""
    if isinstance(found, Attachment):
        return {"rules": RULES, "attachment": True}
    return {
        "rules": RULES,
        "image": str(found.image),
        "module": {"digest": str(found.module), "size": found.size} if found.module else None,
        "abi": found.abi,
        "sdk": found.sdk,
        # A list: records sort their fields, and the order of the consumers counts.
        "verdicts": [
            {"consumer": verdict.consumer, "problems": [problem.to_json() for problem in verdict.problems]}
            for verdict in found.verdicts
        ],
    }


def from_record(record: Mapping[str, Any] | None) -> Found | None:
    """What `to_record` wrote; None when it is missing, of other rules, or damaged."""
    if record is None or record.get("rules") != RULES:
        return None
    if record.get("attachment") is True:
        return Attachment()
    try:
        module = record["module"]
        return Plugin(
            image=Digest.parse(record["image"]),
            verdicts=tuple(
                Verdict(str(verdict["consumer"]), tuple(map(Problem.from_json, verdict["problems"])))
                for verdict in record["verdicts"]
            ),
            module=Digest.parse(module["digest"]) if module else None,
            size=int(module["size"]) if module else 0,
            abi=str(record["abi"]),
            sdk=str(record["sdk"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError, DigestInvalid):
        return None
