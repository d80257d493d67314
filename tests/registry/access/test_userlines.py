from registry.access import htpasswd
from registry.access.userlines import with_password, with_secret, without
from tests.registry.access.test_htpasswd import HASH, SECRET

ONE, TWO, THREE = (SECRET[:-1] + digit for digit in "123")
TEXT = f"# ours\nalice:{HASH}\n\nbroken\ndeploy:{ONE}\nbob:{HASH}"


def test_a_new_user_is_the_last_line() -> None:
    assert with_password(TEXT, "carol", HASH) == f"{TEXT}\ncarol:{HASH}\n"
    assert with_password("", "carol", HASH) == f"carol:{HASH}\n"


def test_a_password_is_replaced_where_it_is() -> None:
    other = HASH.replace("$04$", "$05$")
    doubled = f"{TEXT}\nalice:{HASH}\n"
    assert with_password(doubled, "alice", other) == TEXT.replace(f"alice:{HASH}", f"alice:{other}") + "\n"
    assert with_password("alice:hunter2\n", "alice", HASH) == f"alice:{HASH}\n", "a broken one is mended"


def test_a_user_and_a_robot_of_one_name_are_two() -> None:
    assert f"deploy:{ONE}" in with_password(TEXT, "deploy", HASH)
    assert f"alice:{HASH}" in with_secret(TEXT, "alice", TWO)
    assert without(TEXT, "deploy", robot=False) == TEXT + "\n"


def test_of_a_robot_the_two_newest_secrets_stay() -> None:
    text = with_secret(with_secret(TEXT, "deploy", TWO), "deploy", THREE)
    (robot,) = htpasswd.parse(text).robots
    assert robot.hashes == (TWO, THREE)
    (robot,) = htpasswd.parse(without(text, "deploy", robot=True, newest_stays=True)).robots
    assert robot.hashes == (THREE,)
    assert htpasswd.parse(without(text, "deploy", robot=True)).robots == ()
    assert set(htpasswd.parse(text).hashes) == {"alice", "bob"}


def test_who_is_removed_is_gone_and_the_rest_is_as_it_was() -> None:
    assert without(TEXT, "alice", robot=False) == TEXT.replace(f"alice:{HASH}\n", "") + "\n"
    assert without(TEXT, "nobody", robot=False) == TEXT + "\n"
