"""What a registry gives without a login, asked as consumers ask that have no credential."""

from __future__ import annotations

import base64
from dataclasses import replace

from registry.apply.pin import Pin
from registry.client import urls
from registry.client.remote import Remote
from registry.client.transport import Answer, RemoteError, Transport
from registry.console.failure import Failure
from storage.digest import Digest

_OTHERWISE = "Use --by oci."
_PRIVATE = (401, 403, 404)
"""How those answer who say of what is private that it is not there, too."""


def served(pin: Pin, remote: Remote) -> Pin:
    """The pin with a URL that gives its module without a login: `remote` is asked for one where need be.

    Raises Failure, or RemoteError, where there is none.
    """
    answer = _asked(pin)
    if answer.status in _PRIVATE:
        try:
            given = urls.give(remote, pin.repository, pin.image)
        except RemoteError as error:
            if answer.status == 404:
                raise _other(pin, answer) from None
            raise Failure(
                f"{pin.shown} is not for everybody, and no URL is to be had that needs no login: {error}",
                "Use --by oci with --pull-secret.",
            ) from None
        pin = replace(pin, capability=given.capability)
        answer = _asked(pin)
    if answer.status != 200 or answer.headers.get("Repr-Digest") != _field(pin.module):
        raise _other(pin, answer)
    return pin


def is_for_everybody(pin: Pin) -> bool:
    """Whether the image of a pin can be pulled without a credential; raises RemoteError without an answer."""
    with Remote(pin.host, plain_http=pin.scheme == "http", find=lambda _: None) as remote:
        try:
            remote.manifest(pin.repository, pin.image)
        except RemoteError as error:
            if error.status in _PRIVATE:
                return False
            raise
    return True


def _asked(pin: Pin) -> Answer:
    transport = Transport()
    try:
        answer = transport.send("HEAD", pin.url, {})
        answer.drop()
    finally:
        transport.close()
    return answer


def _other(pin: Pin, answer: Answer) -> Failure:
    url = replace(pin, capability="").url
    return Failure(
        f"{pin.host} does not serve plugins by URL as Sidecargo does: {answer.status} for {url}.", _OTHERWISE
    )


def _field(digest: Digest) -> str:
    """A digest as RFC 9530 writes it."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(digest.hex)).decode()}:"
