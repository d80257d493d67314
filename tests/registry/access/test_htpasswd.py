import pytest

from registry.access import htpasswd
from registry.access.robots import Robot

# "open sesame", at the least cost.
HASH = "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"
SECRET = "sha256:" + "0" * 64


def test_users_and_robots() -> None:
    text = f"# a comment\n\nalice:{HASH}\r\n  bob:{HASH.replace('$2b', '$2y')}\ndeploy:{SECRET}\n"
    users = htpasswd.parse(text + f"deploy:{SECRET[:-1]}1")
    assert users.hashes == {"alice": HASH.encode(), "bob": HASH.replace("$2b", "$2y").encode()}
    assert users.robots == (Robot("deploy", (SECRET, SECRET[:-1] + "1")),)
    assert users.problems == ()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("hunter2", "line 2: no name that a user may have"),
        (f":{HASH}", "line 2: no name"),
        (f"a b:{HASH}", "line 2: no name"),
        ("bob:hunter2", "line 2: bob has no bcrypt hash"),
        ("bob:{SHA}hunter2", "line 2: bob has no bcrypt hash"),
        ("bob:$apr1$hunter2$aaaaaaaaaaaaaaaaaaaaaa", "write it with `sidecargo users add` or `htpasswd -B`"),
        (f"bob:{HASH}x", "line 2: bob has no bcrypt hash"),
        ("bob:" + HASH.replace("$04$", "$31$"), "of a cost from 4 to 15"),
        (f"alice:{HASH}", "line 2: alice is there twice"),
    ],
)
def test_a_broken_line_is_said_without_what_it_holds_and_the_rest_counts(line: str, problem: str) -> None:
    users = htpasswd.parse(f"alice:{HASH}\n{line}\ncarol:{HASH}\n")
    assert set(users.hashes) == {"alice", "carol"}
    (said,) = users.problems
    assert problem in said
    assert "hunter2" not in said and HASH not in said


def test_a_robot_has_two_secrets_at_most() -> None:
    users = htpasswd.parse(f"deploy:{SECRET}\n" * 3)
    assert users.robots == (Robot("deploy", (SECRET, SECRET)),)
    assert "line 3: the robot deploy has 2 secrets already" in users.problems[0]


def test_passwords() -> None:
    assert htpasswd.is_of(b"open sesame", HASH.encode())
    assert not htpasswd.is_of(b"open sesame!", HASH.encode())
    assert not htpasswd.is_of(b"", HASH.encode())
    long = b"x" * 80
    kept = htpasswd.hashed(long).encode()
    assert htpasswd.cost_of(kept) == htpasswd.COST
    assert htpasswd.is_of(long, kept)
    assert not htpasswd.is_of(b"x" * 71, kept)
    assert htpasswd.parse(f"alice:{kept.decode()}").problems == ()


@pytest.mark.parametrize(("costs", "expected"), [((), 10), ((4,), 4), ((4, 12), 12)])
def test_nobody_is_as_slow_as_somebody(costs: tuple[int, ...], expected: int) -> None:
    text = "\n".join(f"u{cost}:{HASH.replace('$04$', f'${cost:02}$')}" for cost in costs)
    nobody = htpasswd.parse(text).nobody
    assert htpasswd.cost_of(nobody) == expected
    assert htpasswd.parse(f"a:{nobody.decode()}").problems == (), "it is a hash as any"
    assert not htpasswd.is_of(b"", htpasswd.parse("").nobody)
