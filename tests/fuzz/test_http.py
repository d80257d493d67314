"""Whatever is asked, by whomever: no fault, nothing in the log, and nothing told of what one may not see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.amount import fuzz
from tests.fuzz.requests import Request, request
from tests.registry import guarded as guarding
from tests.registry.guarded import ABSENT, PRIVATE, PUBLIC, SECRET, Guarded, basic
from tests.registry.talk import Answer, Connection, eventually, resident

WHO = {
    "anonymous": {},
    "puller": basic("puller"),
    "pusher": basic("pusher"),
    "other": basic("other"),
    "admin": basic("admin"),
    "robot": basic("deploy", SECRET),
    "unreadable": {"Authorization": "Basic !"},
    "no token": {"Authorization": "Bearer x.y.z"},
}
SEEDS = st.integers(0, (1 << 64) - 1)
STRANGERS = ("anonymous", "other", "unreadable", "no token")


class Caller:
    """Asks on one connection for as long as the server keeps it; for what it `has` been given, too."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._connection: Connection | None = None
        self.has = dict[str, str]()

    def ask(self, request: Request, who: str) -> Answer:
        """The answer; one that does not come is a fault."""
        fields = {**request.fields, **WHO[who]}
        fresh = self._connection is None
        connection = self._connection or Connection(self._host)
        self._connection = None
        try:
            connection.send(request.method, request.path, fields, request.body)
            answer = self._final(connection, request)
        except (AssertionError, OSError):
            connection.socket.close()
            if fresh:
                raise
            return self.ask(request, who)  # what was kept alive may have ended by itself
        if answer.status == 202 and (begun := answer.get("location")):
            self.has["UPLOAD"] = begun.rpartition("/")[2]
        ends = {value.lower() for value in answer.all("connection")}
        if "close" in ends or "close" in fields.get("connection", ""):
            connection.socket.close()
        else:
            self._connection = connection
        return answer

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._connection is not None:
            self._connection.socket.close()

    def _final(self, connection: Connection, request: Request) -> Answer:
        while True:
            answer = connection.answer(bodiless=request.method == "HEAD")
            if answer.status != 100:
                return answer


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("fuzzed")
    guarded = guarding.start(folder, access={"tokens": {"enabled": True}}, audit={"file": "off"})
    yield guarded
    guarded.server.stop()


@pytest.fixture(scope="module")
def caller(guarded: Guarded) -> Iterator[Caller]:
    caller = Caller(guarded.host)
    given = guarded.ask("POST", f"/plugins/{PRIVATE}:v1/urls", basic("puller"), b"")
    caller.has["CAPABILITY"] = given.json["path"].split("/")[-2]
    yield caller
    caller.close()


@fuzz
@given(SEEDS)
def test_what_one_may_not_see_never_differs(caller: Caller, seed: int) -> None:
    chance = Random(seed)
    asked, who = request(chance, named=True), chance.choice(STRANGERS)
    answers = []
    for name in (PRIVATE, ABSENT):
        answer = caller.ask(asked.filled(NAME=name), who)
        assert answer.status < 500, (asked, answer)
        answers.append(str(answer.timeless).replace(name, "NAME"))
    assert answers[0] == answers[1], asked


@fuzz
@given(SEEDS)
def test_nothing_is_a_fault(caller: Caller, seed: int) -> None:
    chance = Random(seed)
    name = chance.choice((PRIVATE, PUBLIC, "team/z", "other/z"))
    asked = request(chance).filled(NAME=name, **caller.has)
    answer = caller.ask(asked, chance.choice((*WHO, "admin", "admin", "pusher")))
    assert answer.status < 500, (asked, answer)
    is_page = answer.get("content-type") == "text/html; charset=utf-8" and not asked.path.startswith("/v2")
    if answer.status >= 400 and asked.method != "HEAD" and not is_page:
        assert answer.code, "every error is in the spec's form"


def test_nothing_is_in_the_log_and_the_server_is_as_before(guarded: Guarded) -> None:
    log = guarded.server.process.log.read_text()
    told = [
        line for line in log.splitlines() if "Traceback" in line or "ERROR" in line or "Exception" in line
    ]
    assert not told, log[-5000:]
    assert guarded.ask("GET", "/healthz").status == 200
    descriptors = Path(f"/proc/{guarded.server.process.pid}/fd")
    eventually(lambda: len([*descriptors.iterdir()]) < 200)
    assert resident(guarded.server.process.pid) < 1 << 30
