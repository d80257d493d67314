"""A plugin in a registry: judged there, and named by the digests that consumers compare."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from registry.artifacts.judged import judged
from registry.artifacts.sources import Image, RemoteSource
from registry.client.reference import Reference
from registry.client.remote import Remote
from registry.console.failure import Failure, Refusal
from registry.verdict import PLACEHOLDER, Problem, Verdict
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import DigestInvalid, ManifestInvalid, NameInvalid


@dataclass(frozen=True, slots=True)
class StoredPlugin:
    """A plugin that loads.

    `named` is the digest of the manifest that the reference names, `image` that of the image which agents
    compare (of an index its linux/amd64 child), `module` that of plugin.wasm. `elsewhere` are the problems
    that it has for the same consumers in other Envoys.
    """

    named: Digest
    image: Digest
    module: Digest
    elsewhere: tuple[Problem, ...] = ()


def reference(text: str) -> Reference:
    """Read `HOST/REPO:TAG` or `HOST/REPO@sha256:…`; raises Failure."""
    try:
        return Reference.parse(text)
    except (NameInvalid, DigestInvalid) as error:
        raise Failure(error.message, error.fix) from None


def destination(text: str) -> Reference:
    """Read `HOST/REPO:TAG`; raises Failure, also for a digest."""
    found = reference(text)
    if isinstance(found.target, Digest):
        raise Failure(f"{text} names a digest, which the content decides.", "Give HOST/REPO:TAG.")
    return found


def find(wanted: Reference, remote: Remote, asked: Mapping[str, Collection[str]]) -> StoredPlugin:
    """The plugin that a reference names, if it loads for the consumers `asked`, each with its Envoys.

    Raises RemoteError and Failure for what cannot be read, and Refusal with every problem, each in a line
    with its fix, for what does not load.
    """
    fetched = remote.manifest(wanted.repository, wanted.target)
    try:
        manifest = manifests.parse(fetched.body, fetched.media_type)
        source = RemoteSource(remote, wanted.repository)
        with judged(Image(str(wanted), manifest, fetched.digest, source)) as result:
            findings = result.findings
    except ManifestInvalid as error:
        raise Failure(f"{wanted}: {error.message}", error.fix) from None
    verdicts = [verdict for verdict in findings.verdicts if verdict.consumer in asked]
    problems = _problems(verdict.among(asked[verdict.consumer]) for verdict in verdicts)
    if problems or findings.facts is None:
        to = PLACEHOLDER if isinstance(wanted.target, Digest) else str(wanted)
        lines = [f"{wanted} does not load: {problem.about(to, str(wanted))}" for problem in problems]
        raise Refusal("\n".join(lines) or f"{wanted} holds no plugin.")
    image = findings.image.digest if findings.image else Digest.of(fetched.body)
    if image.algorithm != "sha256":
        raise Refusal(
            f"{wanted} names its image by {image.algorithm}; agents know sha256 only.", "Push it again."
        )
    module = Digest("sha256", findings.facts.sha256)
    return StoredPlugin(fetched.digest, image, module, _problems(verdicts))


def _problems(verdicts: Iterable[Verdict]) -> tuple[Problem, ...]:
    return tuple(dict.fromkeys(problem for verdict in verdicts for problem in verdict.problems))
