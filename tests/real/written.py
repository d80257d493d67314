"""A registry that is written to all the time, and all that it holds."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, image, layer, sha256
from tests.registry.talk import Registry
from tests.registry.wasm.binary import custom

REPOSITORIES = ("team", "team/tags", "other/plugin")


def made(name: str) -> Shape:
    return image(name, [(OCI_LAYER, layer(("plugin.wasm", PLUGIN + custom(name))))], None)


@contextmanager
def pushing(host: str, pause: float = 0.0) -> Iterator[Callable[[], int]]:
    """Clients that push, move tags and delete them, with a `pause`; yields how many pushes there were."""
    stop, pushed = threading.Event(), list[str]()

    def write(number: int) -> None:
        registry = Registry(host, REPOSITORIES[number % len(REPOSITORIES)])
        for turn in itertools.count():
            if stop.wait(pause):
                return
            shape = made(f"{number}-{turn}")
            assert registry.push(shape, f"v{turn % 7}").status == 201
            pushed.append(shape.digest)
            if turn % 5 == 4:
                path = f"{registry.base}/manifests/v{(turn + 3) % 7}"
                assert registry.ask("DELETE", path).status in (202, 404)

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(4)]
        try:
            yield lambda: len(pushed)
        finally:
            stop.set()
        for writer in writers:
            writer.result()


def pulled(host: str) -> dict[str, str]:
    """Every tag of a registry and its digest; all of what it names is pulled and hashed."""
    found = {}
    for name in Registry(host, "x").get("/v2/_catalog").json["repositories"]:
        registry = Registry(host, name)
        for tag in registry.get(f"{registry.base}/tags/list").json["tags"]:
            answer = registry.get(f"{registry.base}/manifests/{tag}")
            assert answer.status == 200, (name, tag, answer)
            found[f"{name}:{tag}"] = digest = sha256(answer.body)
            assert answer["docker-content-digest"] == digest
            manifest = json.loads(answer.body)
            for blob in (manifest["config"], *manifest["layers"]):
                content = registry.get(f"{registry.base}/blobs/{blob['digest']}")
                assert (content.status, sha256(content.body)) == (200, blob["digest"])
    return found
