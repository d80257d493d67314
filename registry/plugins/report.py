"""`/plugins/REPO:TAG`: what the gate found; JSON for programs, a page for people (docs/report.md)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from registry.api.call import Call
from registry.apply import resources
from registry.apply.options import KINDS, Options
from registry.plugins import endings, find, history, pulls, signed
from registry.plugins.signed import Signed
from registry.publish import refusals
from registry.publish.inspect import Findings
from registry.publish.plugins import Plugin
from registry.publish.policy import Policy, decide
from registry.publish.refusals import Refusal
from registry.publish.verifier import Verified
from registry.releases import ENVOYS
from registry.verdict import Verdict
from registry.web import pages
from storage.digest import Digest
from storage.driver import Witness
from storage.errors import ManifestInvalid, ManifestUnknown, StoreUnavailable
from storage.manifest import Descriptor

_FORMER = 10
"""How much of a tag's history a report has."""


async def get(call: Call) -> Response:
    """The report of the manifest that the path names, or of the push of it that was refused."""
    repository, reference = call.repository, call.reference()
    try:
        descriptor, witness = await call.find(reference)
    except ManifestUnknown:
        refusal = await refusals.find(repository, reference)
        if refusal is None or refusal.warned:
            raise
        return _answer(call, "refused.html", refused(call, refusal))
    plugin = await find.of(call, descriptor)
    signatures, verified, last, former, ending, pulled = await asyncio.gather(
        signed.look(repository, descriptor.digest, call.services.ring),
        call.services.verifier.verified(repository, descriptor.digest),
        _last_refused(call, witness),
        _former(call),
        endings.near(call, plugin.image),
        pulls.last(call, descriptor.digest, plugin.image),
    )
    report = accepted(call, descriptor, plugin, signatures, last, former)
    more = {"verification": _verification(verified), "expiring": ending, "pulls": pulled}
    return _answer(call, "report.html", report | more)


def accepted(
    call: Call,
    descriptor: Descriptor,
    plugin: Plugin,
    signatures: Signed,
    last: dict[str, Any] | None,
    former: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """The report of what is stored: who loads it, what it is, what to pin where, who signed it, `former`."""
    name, image = call.repository.name, plugin.image
    policy = call.services.publisher.policy_of(name)
    ok = _passes(policy, plugin.findings, descriptor.digest)
    consumers = {verdict.consumer: consumer(call, verdict, policy) for verdict in plugin.verdicts}
    module = None
    if plugin.facts:
        module = plugin.facts.to_json() | {"path": f"/plugins/{name}@{descriptor.digest}/plugin.wasm"}
    return {
        "repository": name,
        "reference": str(call.reference()),
        "state": "accepted",
        "digest": str(descriptor.digest),
        "media_type": descriptor.media_type,
        "ok": ok,
        "policy": _asked_for(policy),
        "consumers": consumers,
        "module": module,
        "image": image
        and {
            "digest": str(image),
            "layers": [
                {
                    "media_type": layer.media_type,
                    "size": layer.size,
                    "digest": str(layer.digest),
                    "plugin": layer.digest == plugin.layer,
                }
                for layer in plugin.layers
            ],
        },
        "pin": {
            "oci": str(image) if image else None,
            "http": plugin.module.hex if plugin.module else None,
            "never": str(descriptor.digest) if descriptor.digest != image else None,
        },
        "signature": signatures.to_json("" if signatures.ours else _why_not_signed(ok, descriptor.digest)),
        "links": {kind: f"/plugins/{name}@{image}/{kind}.yaml" for kind in _applicable(image, consumers)},
        "history": list(former),
        "last_refused": last,
    }


def refused(call: Call, refusal: Refusal) -> dict[str, Any]:
    """The report of a push that was refused, of which nothing is stored; the same names as `accepted`."""
    policy = call.services.publisher.policy_of(call.repository.name)
    return {
        "repository": call.repository.name,
        "reference": str(call.reference()),
        "state": "refused",
        "digest": str(refusal.digest),
        "media_type": None,
        "ok": False,
        "consumers": None,
        "policy": _asked_for(policy),
        "module": None,
        "image": None,
        "pin": None,
        "signature": None,
        "verification": None,
        "expiring": [],
        "pulls": None,
        "links": {},
        "history": [],
        "last_refused": told(refusal, is_last=True),
    }


def consumer(call: Call, verdict: Verdict, policy: Policy) -> dict[str, Any]:
    """A verdict: `ok` in the Envoys that the policy asks for, `envoys` in each that we know."""
    name = find.named(call)
    return {
        "ok": verdict.among(policy.envoys).ok,
        "envoys": {release: verdict.among((release,)).ok for release in ENVOYS},
        "problems": [problem.about(name).to_json() for problem in verdict.problems],
    }


def told(refusal: Refusal, *, is_last: bool) -> dict[str, Any]:
    """A refusal or warning as JSON; `is_last` says that nothing was accepted here after it."""
    return {
        "reference": str(refusal.reference),
        "digest": str(refusal.digest),
        "at": history.spoken(refusal.at),
        "is_last": is_last,
        "direct": refusal.direct,
        "warned": refusal.warned,
        "code": refusal.code or None,
        "message": refusal.message,
        "problems": [problem.to_json() for problem in refusal.problems],
    }


def check_options(policy: Policy) -> str:
    """The options with which `sidecargo check` asks for what the policy does, each after a blank."""
    usual = Policy()
    envoys = policy.envoys if set(policy.envoys) != set(usual.envoys) else ()
    consumers = policy.consumers if set(policy.consumers) != set(usual.consumers) else ()
    return "".join(
        f" --{name} {value}"
        for name, values in (("envoy", envoys), ("consumer", consumers))
        for value in values
    )


def _asked_for(policy: Policy) -> dict[str, Any]:
    return {"mode": policy.mode, "consumers": list(policy.consumers), "envoys": list(policy.envoys)}


def _verification(verified: Verified | None) -> dict[str, Any] | None:
    """Whether everybody who may pull gets it; None where no signature is asked for."""
    if verified is None:
        return None
    problem = verified.problem.to_json() if verified.problem else None
    return {"ok": problem is None, "key": verified.key_id, "problem": problem}


async def _former(call: Call) -> list[dict[str, Any]]:
    """What a tag that is asked for named before, the last ones; of a damaged history nothing is known."""
    reference = call.reference()
    if isinstance(reference, str):
        with contextlib.suppress(ManifestUnknown, StoreUnavailable):
            return history.former(await call.history(reference))[:_FORMER]
    return []


async def _last_refused(call: Call, witness: Witness | None) -> dict[str, Any] | None:
    """What was refused of this reference beside what is stored; nothing to who is answered another one.

    What was pushed by digest may have been a part of a push of this tag, or of any other: it is told
    where it came later than the tag.
    """
    reference = call.reference()
    refusal = await refusals.find(call.repository, reference) if witness else None
    if refusal is None or witness is None:
        return None
    written = await call.repository.written(witness)
    is_last = refusal.at >= written if refusal.warned else refusal.at > written
    if not refusal.direct and not is_last:
        return None
    return told(refusal, is_last=is_last)


def _applicable(image: Digest | None, consumers: Mapping[str, Any]) -> list[str]:
    """The kinds that there is YAML for: none for a consumer that does not load it."""
    if image is None or image.algorithm != "sha256":
        return []
    loading = {name for name, verdict in consumers.items() if verdict["ok"]}
    return [kind for kind in KINDS if resources.consumer(kind, Options()) in loading]


def _passes(policy: Policy, findings: Findings, digest: Digest) -> bool:
    """Whether the gate would take it here if it enforced."""
    try:
        decide(replace(policy, mode="enforce"), findings, digest)
    except ManifestInvalid:
        return False
    return True


def _why_not_signed(ok: bool, digest: Digest) -> str:
    if digest.algorithm != "sha256":
        return "Only sha256 digests are signed."
    if not ok:
        return "What does not load is not signed."
    return "No signature by a key of the registry is here. Push it again to have it signed."


def _answer(call: Call, template: str, report: dict[str, Any]) -> Response:
    if pages.wanted(call):
        asked = check_options(call.services.publisher.policy_of(call.repository.name))
        return pages.render(call, template, report=report, check_options=asked)
    return pages.document(report)
