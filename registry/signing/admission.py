"""What the registry says of a push that it took in: who, when, by which policy, and what was found.

An in-toto predicate of the type ADMITTED (docs/signatures.md describes it for those who read it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.signing.bundle import Statement
from storage.digest import Digest

ADMITTED = "https://sidecargo.dev/attestation/admission/v1"


@dataclass(frozen=True, slots=True)
class Admission:
    """What is said of a manifest that loads.

    `by` is who pushed it, `at` when (RFC 3339, UTC). The policy that it passed: its `mode`, for which
    `consumers`, with which `envoys`. `findings` is the digest of the record of what was found, `rules` the
    version of the rules that found it; `module` the digest of plugin.wasm, where one was found.
    """

    by: str
    at: str
    mode: str
    consumers: tuple[str, ...]
    envoys: tuple[str, ...]
    rules: int
    findings: Digest
    module: Digest | None = None

    def statement(self, name: str, digest: Digest) -> bytes:
        """The statement about a manifest of the repository `name` (`HOST/REPO`)."""
        return Statement(digest, ADMITTED, self.predicate(), name).payload()

    def predicate(self) -> dict[str, Any]:
        """The predicate as it is signed."""
        return {
            "pushed": {"by": self.by, "at": self.at},
            "policy": {"mode": self.mode, "consumers": list(self.consumers), "envoys": list(self.envoys)},
            "findings": {"rules": self.rules, "digest": _digests(self.findings)},
            "module": {"name": "plugin.wasm", "digest": _digests(self.module)} if self.module else None,
        }

    def is_said_by(self, predicate: Mapping[str, Any]) -> bool:
        """Whether a predicate says the same, of whatever push: so it need not be said again."""
        mine = self.predicate()
        return all(predicate.get(name) == mine[name] for name in ("policy", "findings", "module"))


def _digests(digest: Digest) -> dict[str, str]:
    return {digest.algorithm: digest.hex}
