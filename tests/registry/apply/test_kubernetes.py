import pytest

from registry.apply import kubernetes
from storage import names


@pytest.mark.parametrize(
    ("text", "label", "subdomain"),
    [
        ("a", True, True),
        ("0", True, True),
        ("a-b", True, True),
        ("a.b", False, True),
        ("x" * 63, True, True),
        ("x" * 64, False, True),
        ("a." * 126 + "a", False, True),
        ("a." * 126 + "aa", False, False),
        ("", False, False),
        ("A", False, False),
        ("-a", False, False),
        ("a-", False, False),
        ("a..b", False, False),
        ("a\n", False, False),
        ("ü", False, False),
    ],
)
def test_names(text: str, label: bool, subdomain: bool) -> None:
    assert (kubernetes.is_label(text), kubernetes.is_subdomain(text)) == (label, subdomain)


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("app", True),
        ("App_1.b-c", True),
        ("example.com/app", True),
        ("x" * 63, True),
        ("x" * 64, False),
        ("", False),
        ("/app", False),
        ("a/b/c", False),
        ("Example.com/app", False),
        ("example.com/", False),
        ("*", False),
        ("app\n", False),
    ],
)
def test_keys_of_labels(key: str, allowed: bool) -> None:
    assert kubernetes.is_label_key(key) is allowed


@pytest.mark.parametrize(
    ("value", "allowed"),
    [("", True), ("Web.1_a-b", True), ("x" * 63, True), ("x" * 64, False), ("-a", False)],
)
def test_values_of_labels(value: str, allowed: bool) -> None:
    assert kubernetes.is_label_value(value) is allowed


@pytest.mark.parametrize(
    ("repository", "name"),
    [
        ("team/wasm", "team-wasm"),
        ("wasm", "wasm"),
        ("a/b.c_d__e---f", "a-b-c-d-e-f"),
        ("0/1", "0-1"),
        ("x" * 63, "x" * 63),
    ],
)
def test_the_name_of_a_repository(repository: str, name: str) -> None:
    assert kubernetes.name_of(names.repository(repository)) == name


def test_long_names_stay_two() -> None:
    repositories = [names.repository(f"{first}{'/x' * 40}/plugin") for first in "ab"]
    found = [kubernetes.name_of(repository) for repository in repositories]
    assert found[0] != found[1]
    for name in found:
        assert kubernetes.is_label(name)
        assert name.rpartition("-")[0].endswith("-x-plugin")
    at_a_dash = kubernetes.name_of("a" * 20 + "/" + "b" * 53 + "/" + "c" * 5)
    assert kubernetes.is_label(at_a_dash), "the cut may lie at a dash"


def test_a_resource() -> None:
    assert kubernetes.resource("a/v1", "K", "n", "", {"x": 1}) == {
        "apiVersion": "a/v1",
        "kind": "K",
        "metadata": {"name": "n"},
        "spec": {"x": 1},
    }
    assert kubernetes.resource("a/v1", "K", "n", "s", {})["metadata"] == {"name": "n", "namespace": "s"}
