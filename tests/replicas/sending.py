"""Sending a blob as clients do, each request to another replica; what was acknowledged of it must stay."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from tests.registry.consumers.build import sha256
from tests.registry.talk import Answer
from tests.replicas.fleet import Client, Doubt

_PATIENCE = 90.0
"""Seconds for one blob: a request that was cut off keeps an upload busy for 30."""


class Unexpected(Exception):
    """An answer that no promise of the registry allows."""


class _Again(Exception):
    """This session may be over, as a request that had no answer may have ended it: begin another one."""


@dataclass(slots=True)
class Sending:
    """One blob of `data` on its way to a repository."""

    client: Client
    repository: str
    data: bytes

    @property
    def digest(self) -> str:
        return sha256(self.data)

    def send(self, mount: str | None = None) -> float:
        """Have it there, by a mount from `mount` if there is one; since when it was surely there.

        Raises Unexpected.
        """
        end = time.time() + _PATIENCE
        while time.time() < end:
            try:
                return self._send(mount)
            except (Doubt, _Again):
                mount = None
        raise Unexpected(f"{self.digest} cannot be sent to {self.repository}")

    def _send(self, mount: str | None) -> float:
        blobs = f"/v2/{self.repository}/blobs"
        answer, when = self.client.sure("HEAD", f"{blobs}/{self.digest}")
        if answer.status == 200:
            return when.began
        self._expect(answer, 404)
        began = time.time()
        if mount:
            answer, _ = self.client.ask("POST", f"{blobs}/uploads/?mount={self.digest}&from={mount}", b"")
            if answer.status == 201:
                self.client.mounted += 1
                return began
            self._expect(answer, 202)  # garbage collection looks at it just now
            self._pieces(answer["location"])
            return began
        if self.client.chance.random() < 0.25:
            answer, _ = self.client.ask("POST", f"{blobs}/uploads/?digest={self.digest}", self.data)
            self._expect(answer, 201)
            return began
        answer, _ = self.client.ask("POST", f"{blobs}/uploads/", b"")
        self._expect(answer, 202)
        self._pieces(answer["location"])
        return began

    def _pieces(self, path: str) -> None:
        """Send the whole in up to three requests, the last of which may hold nothing."""
        size, chance = len(self.data), self.client.chance
        cuts = sorted(chance.sample(range(2, size - 2), chance.randint(0, 2)))
        safe, doubtful = 0, False
        for cut in (*cuts, size) if chance.random() < 0.7 else cuts:
            safe = self._append(path, safe, cut)
        while True:
            rest = self.data[safe:]
            fields = _range(safe, size) if rest else {}
            try:
                answer, _ = self.client.ask("PUT", f"{path}?digest={self.digest}", rest, fields)
            except Doubt:
                doubtful = True
                safe = self._stands(path, safe, size, doubtful=True)
                continue
            if answer.status == 416:
                safe = self._stands(path, safe, size, doubtful=doubtful)
                continue
            if answer.status == 404 and doubtful:
                raise _Again
            self._expect(answer, 201)
            if answer["docker-content-digest"] != self.digest:
                raise Unexpected(f"another blob was made: {answer}")
            return

    def _append(self, path: str, safe: int, cut: int) -> int:
        """Send what is missing up to a cut; how much is safe then."""
        end = time.time() + _PATIENCE
        while safe < cut and time.time() < end:
            try:
                answer, _ = self.client.ask("PATCH", path, self.data[safe:cut], _range(safe, cut))
            except Doubt:
                safe = self._stands(path, safe, cut)
                continue
            if answer.status == 416:
                safe = self._stands(path, safe, cut)
                continue
            self._expect(answer, 202)
            safe = cut
        return safe

    def _stands(self, path: str, safe: int, most: int, *, doubtful: bool = False) -> int:
        """Where an upload stands, after a request that had no answer or came while another one wrote."""
        time.sleep(self.client.chance.uniform(0.05, 0.5))
        answer, _ = self.client.sure("GET", path)
        if answer.status == 404 and doubtful:
            raise _Again
        self._expect(answer, 204)
        found = re.fullmatch(r"0-(\d+)", answer["range"])
        last = int(found[1]) if found else -1
        stands = last + 1 if last > 0 else 0  # nothing here is sent by a single byte
        if not safe <= stands <= most:
            raise Unexpected(f"of an upload {safe} bytes were acknowledged; it stands at {stands} of {most}")
        return stands

    def _expect(self, answer: Answer, status: int) -> None:
        if answer.status != status:
            raise Unexpected(f"sending {self.digest} to {self.repository}: {answer}")


def _range(start: int, end: int) -> dict[str, str]:
    return {"content-range": f"{start}-{end - 1}"}
