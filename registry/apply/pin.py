"""A pin: where a plugin is, and the digests that its consumers compare."""

from __future__ import annotations

from dataclasses import dataclass, field

from storage.digest import Digest


@dataclass(frozen=True, slots=True)
class Pin:
    """A plugin in a registry.

    `host` is the registry's (`HOST[:PORT]`), `scheme` how it is spoken to by http. `image` is the digest of
    the image manifest, of an index that of its linux/amd64 child: what is compared after a pull by oci.
    `module` is the digest of plugin.wasm: what is compared after a download. Both are sha256. `tag` is the
    tag that was asked for, for the reader only. `capability` is what a download without a login needs in its
    URL, "" where everybody may download.
    """

    host: str
    repository: str
    image: Digest
    module: Digest
    scheme: str = "https"
    tag: str = ""
    capability: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Host, repository and the image's digest, as images are referred to."""
        return f"{self.host}/{self.repository}@{self.image}"

    @property
    def oci(self) -> str:
        """The URL to pull by."""
        return f"oci://{self.name}"

    @property
    def url(self) -> str:
        """The URL to download plugin.wasm by; what it gives never changes."""
        between = f"/{self.capability}" if self.capability else ""
        return f"{self.scheme}://{self.host}/plugins/{self.repository}@{self.image}{between}/plugin.wasm"

    @property
    def shown(self) -> str:
        """The plugin as its user knows it."""
        return f"{self.host}/{self.repository}:{self.tag}" if self.tag else self.name
