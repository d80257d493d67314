"""The floors of the code: imports go down only. docs/architecture.md describes them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES = 350

FLOORS = {
    "vocabulary": "storage storage.digest storage.names storage.errors storage.manifest registry "
    "registry.patterns registry.releases",
    "objects": "storage.driver storage.files storage.pieces storage.folders storage.listing storage.locks "
    "storage.disk storage.together storage.s3 storage.circuit storage.memory storage.asking "
    "storage.remembered",
    "content": "storage.paths storage.records storage.blobs storage.incoming storage.uploads storage.tags "
    "storage.referrers storage.parents storage.derived storage.refusals storage.repositories storage.sweep "
    "storage.urls storage.pulls storage.turn storage.store storage.fsck storage.attached storage.trash "
    "storage.gc storage.formats storage.kept storage.migration storage.quota",
    "domain": "registry.verdict registry.wasm registry.consumers registry.signing "
    "registry.access registry.trial registry.apply registry.audit",
    "publishing": "registry.publish",
    "artifacts": "registry.console registry.client registry.artifacts",
    "HTTP": "registry.api registry.hot registry.plugins registry.web registry.ops registry.routes "
    "registry.choke registry.metrics registry.login",
    "composition": "registry.settings registry.storages registry.keyring registry.issuers "
    "registry.certificate registry.workers registry.supervisor registry.resigning registry.heap "
    "registry.logs registry.chores "
    "registry.warnings registry.app registry.cli registry.__main__",
}
ORDER = list(FLOORS)
FLOOR_OF = {name: floor for floor, named in FLOORS.items() for name in named.split()}
ALONE = (
    "registry.wasm",
    "registry.consumers",
    "registry.signing",
    "registry.access",
    "registry.trial",
    "registry.apply",
    "registry.audit",
)

# Libraries that belong to some places: floors or modules.
PLACES = {
    # Of no place: what was stored or sent is never run, nor put into a page as it is.
    "marshal": set(),
    "markupsafe": set(),
    "pickle": set(),
    "shelve": set(),
    "aiofiles": {"storage.files"},
    "boto3": {"storage.s3.client"},
    "botocore": {"storage.s3.client", "storage.s3.errors"},
    "starlette": {"HTTP", "composition"},
    "uvicorn": {"HTTP", "composition"},
    "jinja2": {"registry.web"},
    "click": {"registry.cli", "registry.console"},
    "bcrypt": {"registry.access"},
    "cryptography": {"registry.signing", "registry.certificate"},
    "jwt": {"registry.access"},
    "httptools": {"registry.hot"},
    "sqlite3": {"storage.fsck", "storage.gc"},
    "prometheus_client": {"registry.metrics", "registry.ops"},
    "pydantic": {"registry.settings", "registry.cli"},
    "pydantic_settings": {"registry.settings"},
    "urllib3": {"registry.client", "registry.login.asking", "storage.s3.errors"},
    "uvloop": {"composition"},
    "wasmtime": {"registry.wasm"},
    "zlib_ng": {"registry.consumers"},
}
PURE = {"__future__", "base64", "collections", "dataclasses", "functools", "hashlib", "json", "re", "typing"}


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted([*ROOT.glob("storage/**/*.py"), *ROOT.glob("registry/**/*.py")]):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


def imported(module: str) -> Iterator[str]:
    """What a module imports, also within functions; a module of ours by its full name."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            origin = node.module or ""
            for name in node.names:
                whole = f"{origin}.{name.name}"
                yield whole if whole in MODULES else origin


IMPORTS = {module: set(imported(module)) for module in MODULES}


def place_of(module: str) -> str:
    """The entry of FLOORS that a module belongs to: its own, or that of the package it is in."""
    return module if module in FLOOR_OF else ".".join(module.split(".")[:2])


def floor_of(module: str) -> str:
    """The floor of a module of ours."""
    return FLOOR_OF[place_of(module)]


def ours(module: str) -> set[str]:
    """The modules of ours that a module imports."""
    return IMPORTS[module] & set(MODULES)


def libraries(module: str) -> set[str]:
    """The packages of others that a module imports."""
    return {name.partition(".")[0] for name in IMPORTS[module] - set(MODULES)}


def on(floor: str) -> list[str]:
    """The modules of a floor."""
    return [module for module in MODULES if floor_of(module) == floor]


def test_every_module_is_on_one_floor() -> None:
    named = [name for entry in FLOORS.values() for name in entry.split()]
    assert len(named) == len(set(named))
    assert set(named) <= set(MODULES)
    assert [module for module in MODULES if place_of(module) not in FLOOR_OF] == []


def test_imports_go_down() -> None:
    upward = [
        f"{module} ({floor_of(module)}) imports {name} ({floor_of(name)})"
        for module in MODULES
        for name in ours(module)
        if ORDER.index(floor_of(name)) > ORDER.index(floor_of(module))
    ]
    assert upward == []


def test_storage_knows_nothing_of_the_registry() -> None:
    storage = [module for module in MODULES if module.startswith("storage")]
    assert [module for module in storage if any(name.startswith("registry") for name in ours(module))] == []


def test_the_vocabulary_does_no_input_or_output() -> None:
    assert {module: impure for module in on("vocabulary") if (impure := libraries(module) - PURE)} == {}


@pytest.mark.parametrize("package", ALONE)
def test_packages_of_the_domain_stand_alone(package: str) -> None:
    for module in MODULES:
        if place_of(module) == package:
            near = {name for name in ours(module) if floor_of(name) != "vocabulary"}
            assert {place_of(name) for name in near} <= {package, "registry.verdict"}, module


def test_libraries_keep_to_their_places() -> None:
    misplaced = [
        f"{module} imports {library}"
        for module in MODULES
        for library in libraries(module) & set(PLACES)
        if not PLACES[library] & {module, place_of(module), floor_of(module)}
    ]
    assert misplaced == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_text_is_run(module: str) -> None:
    calls = [
        node.func for node in ast.walk(ast.parse(MODULES[module].read_text())) if isinstance(node, ast.Call)
    ]
    named = {found.id for found in calls if isinstance(found, ast.Name)}
    assert not named & {"eval", "exec", "compile", "__import__"}


def test_no_module_imports_itself_by_way_of_others() -> None:
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join((*path[path.index(module) :], module))
        if module not in done:
            for name in sorted(ours(module)):
                walk(name, (*path, module))
            done.add(module)

    for module in MODULES:
        walk(module, ())


def test_a_file_is_one_concept() -> None:
    lines = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: count for module, count in lines.items() if count > MOST_LINES} == {}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_pattern_is_possessive(module: str) -> None:
    """Possessive repeats and atomic groups are wrong before Python 3.11.5; Debian 12 has 3.11.2."""
    parsed = ast.parse(MODULES[module].read_text())
    texts = [node.value for node in ast.walk(parsed) if isinstance(node, ast.Constant)]
    patterns = [text.decode("latin-1") if isinstance(text, bytes) else text for text in texts]
    assert not [
        text
        for text in patterns
        if isinstance(text, str) and re.search(r"[)\]][*+?]\+|\{[^{}]*\}\+|\(\?>", text)
    ]
