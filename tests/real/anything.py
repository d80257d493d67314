"""A registry that serves whatever it is given, true or not, and plain files beside it; it takes no pushes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(slots=True)
class Anything:
    """What is served at `host`: (Content-Type, body) by path."""

    host: str
    answers: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def manifest(self, repository: str, reference: str, media_type: str, body: bytes) -> None:
        """Serve a manifest by a tag or a digest, whether that is its own or not."""
        self.answers[f"/v2/{repository}/manifests/{reference}"] = media_type, body

    def blobs(self, repository: str, blobs: Mapping[str, bytes]) -> None:
        """Serve content by digests, whether they are its own or not."""
        for digest, content in blobs.items():
            self.answers[f"/v2/{repository}/blobs/{digest}"] = "application/octet-stream", content

    def file(self, name: str, content: bytes) -> str:
        """Serve a file and return its URL."""
        self.answers[f"/files/{name}"] = "application/octet-stream", content
        return f"http://{self.host}/files/{name}"


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """An agent that has seen enough hangs up: nothing to print."""


@contextlib.contextmanager
def running() -> Iterator[Anything]:
    """A registry on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one go: a second write would wait for an acknowledgement

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def _answer(self) -> None:
            found = served.answers.get(self.path)
            media_type, body = found or ("application/json", b"{}")
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        served = Anything(f"127.0.0.1:{server.server_port}")
        served.answers["/v2/"] = "application/json", b"{}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
