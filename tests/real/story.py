"""The seed story, step by step: a plugin goes from `go build` to a header that Envoy adds.

Each step is what a developer or a mesh does, with the real program, and fails where they would.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from string import Template

from tests.real import cosign, envoy, istio
from tests.real.dockerd import Docker
from tests.real.envoy import Envoy
from tests.real.process import Finished, Process, environment, free_port
from tests.real.tools import require
from tests.real.web import get

REPOSITORY = "acme/custom-header"
GOOD = "FROM scratch\nCOPY main.wasm ./plugin.wasm\n"
WITHOUT_PLUGIN = "FROM scratch\nCOPY main.wasm ./main.wasm\n"


@dataclass(frozen=True, slots=True)
class Story:
    """Where it happens: the registry's HOST:PORT, the docker that pushes, the upstream's port, a folder."""

    registry: str
    docker: Docker
    upstream: int
    folder: Path

    @property
    def image(self) -> str:
        return f"{self.registry}/{REPOSITORY}"

    @property
    def module_url(self) -> str:
        return f"http://{self.registry}/plugins/{REPOSITORY}:v1/plugin.wasm"

    def build(self) -> str:
        """`go build` makes main.wasm; returns its SHA-256."""
        module = shutil.copy(require("plugin"), self.folder / "main.wasm")
        return hashlib.sha256(Path(module).read_bytes()).hexdigest()

    def run_from_file(self) -> None:
        """`func-e run -c envoy-config.yaml` with the local file shows the header."""
        func_e, binary, release = require("func-e"), require("envoy"), envoy.RELEASE
        home = self.folder / "func-e"
        installed = home / "envoy-versions" / release / "bin"
        installed.mkdir(parents=True)
        (installed / "envoy").symlink_to(binary)
        port, admin = free_port(), free_port()
        template = Template((Path(__file__).parent / "envoy-config.yaml").read_text())
        config = template.substitute(port=port, admin=admin, upstream=self.upstream)
        (self.folder / "envoy-config.yaml").write_text(config)
        process = Process(
            [func_e, "run", "-c", "envoy-config.yaml", "--use-dynamic-base-id"],
            log=self.folder / "func-e.log",
            folder=self.folder,
            env=environment(
                HOME=str(home),
                FUNC_E_DATA_HOME=str(home),
                FUNC_E_RUNTIME_DIR=str(home),
                ENVOY_VERSION=release,
            ),
        )
        shows_header(envoy.await_live(process, port, admin))

    def push(self) -> str:
        """`docker build` and `docker push` are accepted; returns the digest that docker shows."""
        pushed = self._build_and_push(GOOD, "v1")
        assert pushed.code == 0, pushed.said
        digest = re.search(r"digest: (sha256:[0-9a-f]{64})", pushed.out)
        assert digest, pushed.said
        return digest.group(1)

    def fetch_as_agent(self, digest: str, module: str) -> None:
        """istio-agent's own code gets the module by tag, by digest, with spec.sha256, and by plain URL."""
        pin = digest.removeprefix("sha256:")
        cases = [
            (f"oci://{self.image}:v1", ""),
            (f"oci://{self.image}@{digest}", ""),
            (f"oci://{self.image}:v1", pin),
            (self.module_url, module),
        ]
        for number, case in enumerate(cases):
            fetched = istio.fetch(case[0], self.folder / f"agent-{number}", checksum=case[1])
            assert not fetched.error, fetched
            assert fetched.sha256 == module, fetched
            assert fetched.digest == (pin if case[0].startswith("oci:") else module), fetched

    def run_from_registry(self, module: str) -> None:
        """Envoy fetches the module by its URL and shows the header."""
        code = envoy.remote(self.module_url, module)
        started = envoy.start(
            require("envoy"), self.folder, code, upstream=self.upstream, registry=self.registry
        )
        shows_header(started)

    def verify(self, digest: str) -> None:
        """cosign verifies tag and digest with the registry's key, and with no other."""
        mine = self.folder / "cosign"
        mine.mkdir()
        foreign = cosign.new_key(mine)
        key = self.folder / "registry.pub"
        key.write_bytes(get(f"http://{self.registry}/keys/cosign.pub").body)
        for reference in (f"{self.image}:v1", f"{self.image}@{digest}"):
            accepted = cosign.verify(reference, key)
            assert accepted.code == 0, accepted.said
            assert digest in accepted.out, accepted.said
            refused = cosign.verify(reference, foreign)
            assert refused.code != 0, refused.said

    def refuse(self) -> None:
        """An image without plugin.wasm is not accepted, and docker's output says why."""
        refused = self._build_and_push(WITHOUT_PLUGIN, "bad")
        assert refused.code != 0, refused.said
        assert "plugin.wasm" in refused.said, refused.said
        assert "COPY" in refused.said, f"the fix for the Dockerfile is missing: {refused.said}"
        answer = get(f"http://{self.registry}/v2/{REPOSITORY}/manifests/bad")
        assert answer.status == 404, answer

    def _build_and_push(self, dockerfile: str, tag: str) -> Finished:
        context = self.folder / tag
        context.mkdir()
        shutil.copy(self.folder / "main.wasm", context)
        (context / "Dockerfile").write_text(dockerfile)
        self.docker.succeed("build", "--tag", f"{self.image}:{tag}", context)
        return self.docker("push", f"{self.image}:{tag}")


def shows_header(started: Envoy) -> None:
    """A request through the plugin comes back with its header; then Envoy is ended."""
    try:
        answer = started.get()
        assert answer.status == 200, (answer, started.process.said())
        assert answer.headers.get("x-custom-header") == "custom-value", (answer, started.process.said())
    finally:
        started.stop()


def tell(story: Story) -> None:
    """The whole story in its order."""
    module = story.build()
    story.run_from_file()
    digest = story.push()
    story.fetch_as_agent(digest, module)
    story.run_from_registry(module)
    story.verify(digest)
    story.refuse()
