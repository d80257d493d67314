"""With rules: what it costs to show who one is, beside a server that asks nobody."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path

from tests.bench import content, load, peers
from tests.bench.content import REPOSITORY
from tests.bench.peers import DISTRIBUTION, Peer
from tests.bench.results import Results, Row, say
from tests.real.web import get
from tests.registry.guarded import HASH, PASSWORD, ROBOTS, SECRET, basic

PUBLIC = "public/plugin"

OPEN = Row("manifest by tag, public, without a login", "1/s")
PASSWORD_OF_A_ROBOT = Row("manifest by tag, private, Basic of a robot", "1/s", aim="≥ 8 × distribution")
PASSWORD_OF_A_USER = Row("manifest by tag, private, Basic of a user", "1/s", aim="≥ 8 × distribution")
TOKEN = Row("manifest by tag, private, Bearer", "1/s", aim="≥ 8 × distribution")
SHARE = Row("Basic of a user, by the same without a login", "×", aim="≥ 0.8", digits=2)
TOKENS = Row("tokens given, by Basic of a robot", "1/s", aim="≥ 2,000 with 2 workers")

_LOGIN = basic("alice", PASSWORD)["Authorization"]
_ROBOT = basic("deploy", SECRET)["Authorization"]
_SCOPE = f"/token?scope=repository:{REPOSITORY}:pull"


def measure(folder: Path, results: Results, options: argparse.Namespace) -> None:
    """Take everything; raises PartMissing."""
    made = content.made()
    with ExitStack() as running:
        ours = [
            running.enter_context(peers.ours(folder / f"ours-{workers}", workers, settings=_settings(folder)))
            for workers in (1, 2)
        ]
        other = running.enter_context(peers.distribution(folder / "distribution"))
        made.push(other)
        for peer in ours:
            for repository in (REPOSITORY, PUBLIC):
                made.push(peer, repository, authorization=_LOGIN)
        for turn in range(options.rounds):
            say(f"round {turn + 1} of {options.rounds}: load, with rules")
            _load(results, ours, other, made.by_tag, options.seconds)
            for peer in ours:
                taken = load.measure(_token_url(peer), authorization=_ROBOT, seconds=options.seconds)
                results.add(TOKENS, peer.name, taken.rate)


def _load(results: Results, ours: list[Peer], other: Peer, path: str, seconds: int) -> None:
    public = path.replace(REPOSITORY, PUBLIC)
    beside = load.hot(f"http://{other.host}{path}", blob=False, seconds=seconds)
    for row in (PASSWORD_OF_A_ROBOT, PASSWORD_OF_A_USER, TOKEN):
        results.add(row, DISTRIBUTION, beside.rate)
        results.add(_p99(row), DISTRIBUTION, beside.p99)
    for peer in ours:
        shown = {PASSWORD_OF_A_ROBOT: _ROBOT, PASSWORD_OF_A_USER: _LOGIN, TOKEN: f"Bearer {_token(peer)}"}
        free = load.hot(f"http://{peer.host}{public}", blob=False, seconds=seconds)
        results.add(OPEN, peer.name, free.rate)
        for row, authorization in shown.items():
            url = f"http://{peer.host}{path}"
            taken = load.hot(url, blob=False, seconds=seconds, authorization=authorization)
            results.add(row, peer.name, taken.rate)
            results.add(_p99(row), peer.name, taken.p99)
            if row is PASSWORD_OF_A_USER:
                results.add(SHARE, peer.name, taken.rate / free.rate)


def _p99(row: Row) -> Row:
    return Row(f"{row.name}, p99", "ms", more_is_better=False, aim="≤ 1/4 of distribution's", digits=2)


def _settings(folder: Path) -> str:
    """A users' file, a robot, tokens; one repository is private, the other everybody's."""
    users = folder / "users"
    users.write_text(f"alice:{HASH}\n")
    rules = [
        {"repositories": "**", "who": ["user:alice"], "may": ["pull", "push"]},
        {"repositories": "bench/**", "who": ["robot:deploy"], "may": ["pull"]},
        {"repositories": PUBLIC, "who": ["anonymous"], "may": ["pull"]},
    ]
    access = {"htpasswd": str(users), "robots": ROBOTS, "tokens": {"enabled": True}, "rules": rules}
    return json.dumps({"access": access})


def _token(peer: Peer) -> str:
    found = get(_token_url(peer), {"Authorization": _ROBOT})
    token: str = json.loads(found.body)["token"]
    return token


def _token_url(peer: Peer) -> str:
    return f"http://{peer.host}{_SCOPE}"
