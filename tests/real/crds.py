"""The published schemas of Istio's and Envoy Gateway's resources, and what an API server says by them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.real.process import run
from tests.real.tools import missing, require

# Module, version and file of each.
_PUBLISHED = (
    (
        "istio.io/istio@v0.0.0-20260827124520-eed52ebb66ad",
        "manifests/charts/base/files/crd-all.gen.yaml",
    ),
    (
        "github.com/envoyproxy/gateway@v1.9.0",
        "charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_envoyextensionpolicies.yaml",
    ),
)


@dataclass(frozen=True, slots=True)
class Checked:
    """A document as Kubernetes reads it, and the error ("": none)."""

    resource: Any
    error: str


@cache
def files() -> tuple[Path, ...]:
    """The files of the schemas, out of Go's module cache; skips the test without Go."""
    return tuple(_folder(module) / path for module, path in _PUBLISHED)


def check(documents: Iterable[str]) -> list[Checked]:
    """What is said of YAML documents: by the schemas with their CEL rules, and by Istio's validation."""
    given = list(documents)
    done = run(require("crdvalidate"), *files(), text=json.dumps(given), seconds=300)
    assert done.code == 0, done.said
    # Istio's packages warn on standard output.
    checked = [Checked(**json.loads(line)) for line in done.out.split("\n") if line.startswith("{")]
    assert len(checked) == len(given), done.said
    return checked


def _folder(module: str) -> Path:
    try:
        done = subprocess.run(
            ["go", "mod", "download", "-json", module], capture_output=True, text=True, timeout=600, cwd="/"
        )
    except FileNotFoundError:
        missing("Go is not installed")
    if done.returncode != 0:
        missing(f"{module} cannot be had: {done.stdout[-300:]}{done.stderr[-300:]}")
    return Path(json.loads(done.stdout)["Dir"])
