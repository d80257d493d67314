"""Where the registry listens, how it is known, and what is in front of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from registry.settings import values
from registry.settings.section import Section
from registry.settings.values import File, Networks, WholeNumber


class Tls(Section):
    """The certificate that is served; without one, plain HTTP is."""

    certificate: File | None = None
    key: File | None = None

    @property
    def is_on(self) -> bool:
        """Whether connections are TLS."""
        return self.certificate is not None

    @model_validator(mode="after")
    def _both(self) -> Tls:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("server.tls needs both certificate and key, each the path of a file in PEM")
        return self


class Server(Section):
    """Where the registry listens and how it is known."""

    host: Annotated[str, AfterValidator(values.host)] = "127.0.0.1"
    port: Annotated[WholeNumber, Field(ge=0, le=65535)] = 5000
    workers: Annotated[WholeNumber, Field(ge=1, le=256)] = 1
    public_url: Annotated[str, AfterValidator(values.public_url)] | None = None
    trusted_proxies: Networks = ()
    tls: Tls = Tls()
