from registry.access.seal import Seal


def test_equal_under_one_key_alone() -> None:
    seal = Seal()
    assert seal(b"a") == seal(b"a") != seal(b"b")
    assert Seal()(b"a") != seal(b"a")
    assert b"secret" not in seal(b"secret" * 100)
