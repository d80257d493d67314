"""What is printed to apply is what the real consumers take: Kubernetes' API server, Istio, Envoy."""

from __future__ import annotations

import http.server
import json
import shutil
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from registry.apply import reading, resources
from registry.apply.options import KINDS, Env, Match, Options, Target
from registry.apply.pin import Pin
from storage.digest import Digest
from tests.real import configured, crds, images, istio
from tests.real.envoy import Envoy
from tests.real.process import succeed
from tests.real.sidecargo import Sidecargo
from tests.real.tools import require
from tests.real.web import get
from tests.registry.apply import cases
from tests.registry.apply.cases import CASES, CONFIG, MISTAKABLE, PIN, Asked

pytestmark = [pytest.mark.real, pytest.mark.slow]

KUBERNETES = [kind for kind in KINDS if kind != "envoy"]


def rendered(kind: str, asked: Asked) -> str:
    return resources.render(kind, PIN, reading.read(kind, asked))


@pytest.mark.parametrize("kind", KUBERNETES)
def test_kubernetes_takes_every_resource_and_reads_what_is_meant(kind: str) -> None:
    sets = {**CASES[kind], "everything": cases.everything(kind)}
    documents = [rendered(kind, asked) for asked in sets.values()]
    checked = crds.check(documents)
    assert {name: found.error for name, found in zip(sets, checked, strict=True) if found.error} == {}
    for document, found in zip(documents, checked, strict=True):
        assert found.resource == yaml.safe_load(document)


def test_kubernetes_reads_configurations_as_they_were_given() -> None:
    asked = {"plugin-config": [json.dumps(CONFIG)]}
    found = [one.resource["spec"] for one in crds.check(rendered(kind, asked) for kind in KUBERNETES)]
    said = [found[0]["pluginConfig"], found[1]["wasm"]["pluginConfig"], found[2]["wasm"][0]["config"]]
    assert said == [CONFIG] * 3


# Past the rules of `reading`: each is refused there, and this says that it has to be.
WRONG: dict[str, tuple[list[str], Options]] = {
    "selector and target": (
        ["wasmplugin", "trafficextension"],
        Options(selector={"a": "b"}, target=(Target("Gateway", "a"),)),
    ),
    "17 targets": (
        ["wasmplugin", "trafficextension"],
        Options(target=tuple(Target("Service", f"s{number}") for number in range(17))),
    ),
    "label too long": (["wasmplugin", "trafficextension"], Options(selector={"a": "b" * 64})),
    "wildcard": (["wasmplugin", "trafficextension"], Options(selector={"a": "*"})),
    "phase": (["wasmplugin", "trafficextension"], Options(phase="authn")),
    "priority": (["wasmplugin", "trafficextension"], Options(priority=2**31)),
    "port": (["wasmplugin", "trafficextension"], Options(match=(Match("", (65536,)),))),
    "port twice": (["wasmplugin", "trafficextension"], Options(match=(Match("", (1, 1)),))),
    "mode": (["wasmplugin", "trafficextension"], Options(match=(Match("BOTH"),))),
    "variable twice": (["wasmplugin", "trafficextension"], Options(vm_env=(Env("A", "1"), Env("A", "2")))),
    "value too long": (["wasmplugin", "trafficextension"], Options(vm_env=(Env("A", "x" * 2049),))),
    "plugin name": (["wasmplugin", "trafficextension"], Options(plugin_name="x" * 257)),
    "config of a list": (["wasmplugin", "trafficextension"], Options(plugin_config=[1])),
    "fail strategy": (["wasmplugin", "trafficextension"], Options(fail_strategy="FAIL_CLOSED")),
    "pull policy": (KUBERNETES, Options(pull_policy="Never")),
    "name": (KUBERNETES, Options(name="A")),
    "namespace": (KUBERNETES, Options(namespace="a.b")),
    "merge for gateways": (["envoyextensionpolicy"], Options(merge_type="JSONMerge")),
    "replace": (
        ["envoyextensionpolicy"],
        Options(merge_type="Replace", target=(Target("HTTPRoute", "a"),)),
    ),
    "target": (["envoyextensionpolicy"], Options(target=(Target("Service", "a"),))),
    "section": (["envoyextensionpolicy"], Options(target=(Target("Gateway", "a", "A"),))),
}


@pytest.mark.parametrize(("kinds", "options"), WRONG.values(), ids=WRONG.keys())
def test_what_the_rules_refuse_kubernetes_refuses(kinds: list[str], options: Options) -> None:
    for kind, found in zip(
        kinds, crds.check(resources.render(kind, PIN, options) for kind in kinds), strict=True
    ):
        assert found.error, kind


@pytest.mark.parametrize(
    "harm",
    [
        ("url: oci", "url: ftp"),
        ("  url:", "  ulr: a\n  url:"),
        ("kind: WasmPlugin", "kind: WasmPlugins"),
        ("v1alpha1", "v1"),
    ],
    ids=["scheme", "unknown field", "kind", "version"],
)
def test_the_check_sees_what_is_wrong(harm: tuple[str, str]) -> None:
    document = rendered("wasmplugin", {})
    assert harm[0] in document
    assert [bool(found.error) for found in crds.check([document.replace(*harm)])] == [True]


@pytest.mark.parametrize(("kind", "asked"), cases.params(["envoy"]))
def test_envoy_takes_every_configuration(kind: str, asked: Asked, tmp_path: Path) -> None:
    done = configured.validate(rendered(kind, asked), tmp_path)
    assert done.code == 0 and "OK" in done.said, done.said[-3000:]


def test_envoy_sees_what_is_wrong(tmp_path: Path) -> None:
    printed = rendered("envoy", {}).replace("vm_config", "wm_config")
    assert configured.validate(printed, tmp_path).code != 0


@pytest.fixture(scope="module")
def module() -> bytes:
    return require("plugin").read_bytes()


@pytest.fixture(scope="module")
def digest(sidecargo: Sidecargo, module: bytes, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The manifest's digest of team/header:v1, pushed by crane."""
    folder = tmp_path_factory.mktemp("image") / "layout"
    digest = images.layout(folder, images.layer("plugin.wasm", module))
    succeed(require("crane"), "push", folder, f"{sidecargo.host}/team/header:v1")
    return digest


@pytest.fixture
def run(tmp_path: Path, upstream: int) -> Iterator[Callable[[str], Envoy]]:
    """Run an Envoy with what was printed."""
    started: list[Envoy] = []

    def start(printed: str) -> Envoy:
        started.append(configured.start(printed, tmp_path, upstream))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def is_marked(running: Envoy) -> bool:
    answer = running.get()
    return (answer.status, answer.headers.get("x-custom-header")) == (200, "custom-value")


def plugin_of(running: Envoy) -> dict[str, Any]:
    """The plugin's configuration as a running Envoy holds it."""
    dump = json.loads(get(f"http://127.0.0.1:{running.admin}/config_dump").body)
    found: list[dict[str, Any]] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if str(value.get("@type", "")).endswith("http.wasm.v3.Wasm"):
                found.append(value["config"])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(dump)
    return found[0]


@pytest.mark.parametrize("reference", [":v1", "@{digest}"], ids=["by-tag", "by-digest"])
def test_envoy_runs_what_the_server_prints(
    sidecargo: Sidecargo, digest: str, run: Callable[[str], Envoy], reference: str
) -> None:
    answer = get(f"{sidecargo.url}/plugins/team/header{reference.format(digest=digest)}/envoy.yaml")
    assert answer.status == 200, answer
    assert is_marked(run(answer.body.decode()))


def test_envoy_runs_a_file(
    sidecargo: Sidecargo, digest: str, module: bytes, run: Callable[[str], Envoy], tmp_path: Path
) -> None:
    path = tmp_path / "my plugin.wasm"
    path.write_bytes(module)
    url = f"{sidecargo.url}/plugins/team/header:v1/envoy.yaml?local={str(path).replace(' ', '+')}"
    printed = get(url).body.decode()
    assert "clusters" not in printed
    assert is_marked(run(printed))


def test_envoy_reads_texts_as_they_were_given(
    module: bytes, run: Callable[[str], Envoy], tmp_path: Path
) -> None:
    path = tmp_path / "main.wasm"
    path.write_bytes(module)
    text = "\n".join(MISTAKABLE)
    given = {"plugin-config": [json.dumps(text)], "local": [str(path)]}
    for name, value in zip(("plugin-name", "root-id", "vm-id"), ("1e3", "yes", "0x1f"), strict=True):
        given[name] = [value]
    variables = [f"V{number}={value}" for number, value in enumerate(MISTAKABLE) if "\0" not in value]
    found = plugin_of(run(rendered("envoy", given | {"vm-env": variables})))
    assert found["configuration"]["value"] == text
    assert (found["name"], found["root_id"], found["vm_config"]["vm_id"]) == ("1e3", "yes", "0x1f")
    kept = found["vm_config"]["environment_variables"]["key_values"]
    assert kept == dict(variable.split("=", 1) for variable in variables)


@contextmanager
def https(module: bytes, folder: Path, name: str) -> Iterator[int]:
    """A server of the module by TLS, with a certificate for `name` that is its own CA; gives its port."""
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(named, named, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(private)

    class Module(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(module)))
            self.end_headers()
            self.wfile.write(module)

        def log_message(self, *args: object) -> None:
            """Stay silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Module)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("name", "is_taken"), [("localhost", True), ("elsewhere.example.com", False)])
def test_envoy_checks_the_certificate_of_the_registry(
    module: bytes, run: Callable[[str], Envoy], tmp_path: Path, name: str, is_taken: bool
) -> None:
    with https(module, tmp_path, name) as port:
        pin = replace(PIN, host=f"localhost:{port}", module=Digest.of(module))
        options = reading.read("envoy", {"ca": [str(tmp_path / "ca.pem")], "retries": ["0"]})
        assert is_marked(run(resources.render("envoy", pin, options))) is is_taken


@pytest.fixture(scope="module")
def buildx(sidecargo: Sidecargo, digest: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of an index over the image of team/header:v1, as team/index:v1."""
    folder = tmp_path_factory.mktemp("index") / "layout"
    module = require("plugin").read_bytes()
    images.layout(folder, images.layer("plugin.wasm", module))
    (entry,) = json.loads((folder / "index.json").read_text())["manifests"]
    children = [
        {**entry, "platform": {"os": "linux", "architecture": architecture}}
        for architecture in ("arm64", "amd64")
    ]
    document = {"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": children}
    (folder / "index.json").write_text(json.dumps(document))
    succeed(require("crane"), "push", "--index", folder, f"{sidecargo.host}/team/index:v1")
    shutil.rmtree(folder)
    return succeed(require("crane"), "digest", f"{sidecargo.host}/team/index:v1").out.strip()


@pytest.mark.parametrize("by", ["oci", "http"])
@pytest.mark.parametrize("repository", ["team/header", "team/index"])
@pytest.mark.parametrize("kind", ["wasmplugin", "trafficextension"])
def test_istio_agent_fetches_what_the_server_prints(
    sidecargo: Sidecargo, digest: str, buildx: str, kind: str, repository: str, by: str, tmp_path: Path
) -> None:
    assert buildx != digest
    printed = yaml.safe_load(get(f"{sidecargo.url}/plugins/{repository}:v1/{kind}.yaml?by={by}").body)
    wasm = printed["spec"].get("wasm", printed["spec"])
    assert digest in wasm["url"], "of an index, its child is pinned"
    fetched = istio.fetch(wasm["url"], tmp_path / "modules", checksum=wasm.get("sha256", ""))
    assert not fetched.error, fetched
    assert fetched.sha256.removeprefix("sha256:") == Digest.of(require("plugin").read_bytes()).hex


def test_the_url_of_a_download_is_one_for_kubernetes(sidecargo: Sidecargo, digest: str) -> None:
    documents = [
        get(f"{sidecargo.url}/plugins/team/header:v1/{kind}.yaml?by={by}").body.decode()
        for kind in KUBERNETES
        for by in ("oci", "http")
    ]
    assert [found.error for found in crds.check(documents)] == [""] * len(documents)


def test_pins_of_every_form_of_host(tmp_path: Path) -> None:
    hosts = ["registry", "10.0.0.1", "10.0.0.1:5000", "[::1]:5000", "[fd00::1]", "a.b-c.example.com:443"]
    pins = [
        Pin(host, "a/b__c.d-e", PIN.image, PIN.module, scheme)
        for host in hosts
        for scheme in ("http", "https")
    ]
    for pin in pins:
        done = configured.validate(resources.render("envoy", pin, Options()), tmp_path)
        assert done.code == 0, (pin, done.said[-3000:])
    documents = [
        resources.render(kind, pin, Options(by=by))
        for kind in KUBERNETES
        for pin in pins
        for by in ("oci", "http")
    ]
    found = [one.error for one in crds.check(documents)]
    assert found == [""] * len(documents)
