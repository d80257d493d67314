"""What a registry gives to everybody, asked as consumers ask that have no credential."""

from __future__ import annotations

import base64

from registry.apply.pin import Pin
from registry.client.remote import Remote
from registry.client.transport import RemoteError, Transport
from registry.console.failure import Failure
from storage.digest import Digest

_OTHERWISE = "Use --by oci."


def must_serve(pin: Pin) -> None:
    """Raises Failure, or RemoteError, where the URL of a pin does not give its module to everybody."""
    transport = Transport()
    try:
        answer = transport.send("HEAD", pin.url, {})
        answer.drop()
    finally:
        transport.close()
    if answer.status in (401, 403):
        raise Failure(
            f"{pin.shown} is not for everybody, and what is fetched by URL is fetched without credentials.",
            "Use --by oci with --pull-secret.",
        )
    if answer.status != 200 or answer.headers.get("Repr-Digest") != _field(pin.module):
        raise Failure(
            f"{pin.host} does not serve plugins by URL as Sidecargo does: {answer.status} for {pin.url}.",
            _OTHERWISE,
        )


def is_for_everybody(pin: Pin) -> bool:
    """Whether the image of a pin can be pulled without a credential; raises RemoteError without an answer."""
    with Remote(pin.host, plain_http=pin.scheme == "http", find=lambda _: None) as remote:
        try:
            remote.manifest(pin.repository, pin.image)
        except RemoteError as error:
            # Some say of what is private that it is not there.
            if error.status in (401, 403, 404):
                return False
            raise
    return True


def _field(digest: Digest) -> str:
    """A digest as RFC 9530 writes it."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(digest.hex)).decode()}:"
