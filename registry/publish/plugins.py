"""The record of a plugin: what the gate found in a manifest, kept beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.publish.inspect import RULES, Findings
from registry.verdict import Verdict
from registry.wasm.facts import Facts
from storage import records
from storage.digest import Digest
from storage.errors import DigestInvalid
from storage.manifest import Descriptor

MAX_LAYERS = 64
"""How many layers of an image are remembered: its first ones, and always the plugin's."""
_MAX_TYPE = 255


@dataclass(frozen=True, slots=True)
class Plugin:
    """A manifest as the gate saw it.

    `image` is the digest of the image manifest that agents compare: of an index its linux/amd64 child,
    None where it leads to none. `facts` are those of the extracted plugin.wasm, when there is one; `layer`
    is where it came from, `layers` are those of the image without what was said about them, capped.
    """

    image: Digest | None
    verdicts: tuple[Verdict, ...]
    facts: Facts | None = None
    layer: Digest | None = None
    layers: tuple[Descriptor, ...] = ()

    @property
    def module(self) -> Digest | None:
        """What names the extracted plugin.wasm."""
        return Digest("sha256", self.facts.sha256) if self.facts else None

    @property
    def size(self) -> int:
        """The bytes of the extracted plugin.wasm; 0 where there is none."""
        return self.facts.size if self.facts else 0

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


def of(findings: Findings, image: Digest | None) -> Plugin:
    """What to remember of the findings on `image`; None stands for an index, which is no image itself."""
    return Plugin(
        image=findings.image.digest if findings.image else image,
        verdicts=findings.verdicts,
        facts=findings.facts,
        layer=findings.layer.digest if findings.layer else None,
        layers=_remembered(findings.layers, findings.layer),
    )


def to_record(found: Found) -> dict[str, Any]:
    """What was found as a JSON document."""
    if isinstance(found, Attachment):
        return {"rules": RULES, "attachment": True}
    return {
        "rules": RULES,
        "image": str(found.image) if found.image else None,
        "module": found.facts.to_json() if found.facts else None,
        "layer": str(found.layer) if found.layer else None,
        "layers": [layer.to_json() for layer in found.layers],
        # A list: records sort their fields, and the order of the consumers counts.
        "verdicts": [verdict.to_json() for verdict in found.verdicts],
    }


def fingerprint(found: Found) -> Digest:
    """The digest of the record of what was found, as it is kept."""
    return Digest.of(records.write(to_record(found)))


def from_record(record: Mapping[str, Any] | None) -> Found | None:
    """What `to_record` wrote; None when it is missing, of other rules, or damaged."""
    if record is None or record.get("rules") != RULES:
        return None
    if record.get("attachment") is True:
        return Attachment()
    try:
        found = Plugin(
            image=Digest.parse(record["image"]) if record["image"] is not None else None,
            verdicts=tuple(map(Verdict.from_json, record["verdicts"])),
            facts=Facts.from_json(record["module"]) if record["module"] is not None else None,
            layer=Digest.parse(record["layer"]) if record["layer"] is not None else None,
            layers=tuple(
                Descriptor(str(layer["mediaType"]), Digest.parse(layer["digest"]), int(layer["size"]))
                for layer in record["layers"]
            ),
        )
        if found.module:
            Digest.parse(str(found.module))  # the facts know no digests
    except (AttributeError, KeyError, TypeError, ValueError, DigestInvalid):
        return None
    return found


def _remembered(layers: tuple[Descriptor, ...], plugin: Descriptor | None) -> tuple[Descriptor, ...]:
    kept = layers[:MAX_LAYERS]
    if plugin and plugin not in kept:
        kept = (*kept[:-1], plugin)
    return tuple(Descriptor(layer.media_type[:_MAX_TYPE], layer.digest, layer.size) for layer in kept)
