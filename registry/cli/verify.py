"""`sidecargo verify`: whether a manifest is signed by a key, step by step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from registry import keyring
from registry.artifacts import stored_plugin
from registry.client import evidence
from registry.client.copying import Place
from registry.client.reference import Reference
from registry.client.remote import Fetched, Remote
from registry.console.failure import REFUSED, Failure
from registry.console.terminal import printable
from registry.signing import cosign, verification
from registry.signing.keys import KeyInvalid, PublicKey
from registry.signing.verification import Finding
from storage.digest import Digest
from storage.errors import StoreUnavailable

_PLACES = {"tag": "under cosign's tag", "bundle": "as a bundle"}


@dataclass(frozen=True, slots=True)
class Checked:
    """What was checked: the manifest that `reference` names, the keys by the names they were given, what was
    found under cosign's tag (`tagged` is what that names) and as bundles."""

    reference: Reference
    manifest: Fetched
    keys: Mapping[str, PublicKey]
    tagged: Digest | None
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether one of the keys has signed it."""
        return verification.signer(self.findings) is not None

    def named(self, key: PublicKey) -> str:
        """How a key was given."""
        return next(name for name, one in self.keys.items() if one.key_id == key.key_id)


@click.command()
@click.argument("reference", metavar="REF")
@click.option(
    "--key",
    "names",
    metavar="PUB",
    multiple=True,
    required=True,
    help="A public key in PEM, or env://NAME; of several, one must have signed.",
)
@click.option("--plain-http", multiple=True, metavar="HOST", help="Speak plain HTTP to this registry.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(reference: str, names: tuple[str, ...], plain_http: tuple[str, ...], as_json: bool) -> int:
    """Check that HOST/REPO:TAG or HOST/REPO@DIGEST is signed by a key, and say what was checked.

    In any registry, in both forms of cosign: under its tag, and as a bundle that refers to the manifest. What
    is checked is what REF names: an index is signed by itself, each of its images too. docker's credentials
    are used. Exits 0 when it is signed, 1 when it is not, 2 when that cannot be read.

    \b
    Example:
      curl -O https://plugins.example.com/keys/cosign.pub
      sidecargo verify plugins.example.com/acme/plugin:v1 --key cosign.pub
    """
    asked = stored_plugin.reference(reference)
    keys = _keys(names)
    with Remote(asked.host, plain_http=asked.host in plain_http) as remote:
        checked = check(asked, remote, keys)
    lines = [json.dumps(_data(checked), indent=2)] if as_json else _lines(checked)
    for line in lines:
        click.echo(line)
    return 0 if checked.ok else REFUSED


def check(asked: Reference, remote: Remote, keys: Mapping[str, PublicKey]) -> Checked:
    """Look for the signatures of what a reference names; raises RemoteError or Failure for what cannot be
    read."""
    fetched = remote.manifest(asked.repository, asked.target)
    if fetched.digest.algorithm != "sha256":
        raise Failure(f"{asked}: only sha256 digests are signed.", "Name it by its tag or its sha256 digest.")
    found = evidence.find(Place(remote, asked.repository), fetched.digest)
    those = tuple(keys.values())
    findings = tuple(verification.check(one, those, fetched.digest) for one in found.candidates)
    return Checked(asked, fetched, keys, found.tagged, findings)


def _keys(names: Sequence[str]) -> dict[str, PublicKey]:
    try:
        return {name: keyring.verifying((name,))[0] for name in names}
    except (KeyInvalid, StoreUnavailable) as refused:
        raise Failure(refused.message, refused.fix) from None


def _data(checked: Checked) -> dict[str, Any]:
    digest = checked.manifest.digest
    by = {finding.key.key_id for finding in checked.findings if finding.key}
    return {
        "target": str(checked.reference),
        "digest": str(digest),
        "media_type": checked.manifest.media_type,
        "ok": checked.ok,
        "keys": [
            {"name": name, "id": key.key_id, "signed": key.key_id in by} for name, key in checked.keys.items()
        ],
        "tag": {
            "name": cosign.signature_tag(digest),
            "digest": str(checked.tagged) if checked.tagged else None,
        },
        "signatures": [
            {
                "form": finding.form,
                "manifest": str(finding.at),
                "ok": finding.ok,
                "key": finding.key.key_id if finding.key else None,
                "problem": finding.problem or None,
            }
            for finding in checked.findings
        ],
    }


def _lines(checked: Checked) -> Iterator[str]:
    """The steps for people; what is from elsewhere is made safe."""
    digest = checked.manifest.digest
    yield f"{checked.reference}"
    yield f"  names      {digest} ({printable(checked.manifest.media_type, 100)})"
    for name, key in checked.keys.items():
        yield f"  key        {printable(name)} ({key.key_id})"
    tag = cosign.signature_tag(digest)
    yield f"  looked at  the tag {tag}: {_amount(checked, 'tag')}"
    yield f"  looked at  what refers to {digest}: {_amount(checked, 'bundle')}"
    for finding in checked.findings:
        yield f"  signature  {_PLACES[finding.form]}, in {finding.at}"
        if finding.key:
            yield f"    holds    made with {printable(checked.named(finding.key))}, and names {digest}"
        else:
            yield f"    refused  {printable(finding.problem)}"
    if (signer := verification.signer(checked.findings)) is not None:
        yield f"verified: signed with {printable(checked.named(signer))}"
        return
    what = "none of its signatures counts" if checked.findings else "there is no signature of it"
    yield f"not verified: {what}"
    yield f"  fix: Sign it with the key: cosign sign --key KEY {checked.reference.at(digest)}"


def _amount(checked: Checked, form: str) -> str:
    number = sum(finding.form == form for finding in checked.findings)
    what = "signature" if form == "tag" else "bundle"
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
