from __future__ import annotations

import pytest

from registry.cli.asked import Asked, asked
from registry.console.failure import Failure
from registry.publish.inspect import CONSUMERS
from registry.releases import NEWEST
from registry.verdict import Problem, Verdict

OLD = Problem("old", "m", "f", envoys=("1.36", "1.37"))
ALL = Problem("all", "m", "f")
NEW = (NEWEST,)


@pytest.mark.parametrize(
    ("consumers", "envoys", "istio", "found"),
    [
        ((), (), None, dict.fromkeys(CONSUMERS, NEW)),
        (("envoy",), (), None, {"envoy": NEW}),
        ((), ("1.37", "1.36", "1.37"), None, dict.fromkeys(CONSUMERS, ("1.36", "1.37"))),
        ((), ("v1.36.4",), None, dict.fromkeys(CONSUMERS, ("1.36",))),
        ((), (), "1.28", {"istio": ("1.36",)}),
        ((), (), "1.28.3", {"istio": ("1.36",)}),
        ((), ("1.40",), "1.28", {"istio": ("1.36",), "envoy": ("1.40",), "envoy-gateway": ("1.40",)}),
        (("envoy", "istio"), (), "1.28", {"envoy": NEW, "istio": ("1.36",)}),
        (("envoy",), (), "1.28", {"envoy": NEW}),
    ],
    ids=[
        "all",
        "one consumer",
        "releases, sorted",
        "a patch",
        "istio alone is istio",
        "a patch of istio",
        "istio and the others' envoy",
        "istio among those named",
        "istio where nobody asks for it",
    ],
)
def test_whom_is_asked_for(
    consumers: tuple[str, ...], envoys: tuple[str, ...], istio: str | None, found: dict[str, tuple[str, ...]]
) -> None:
    assert asked(consumers, envoys, istio).envoys == found


def test_who_is_asked_for_when_nothing_is_said() -> None:
    usual = asked((), (), None, every=("envoy",), usual=("1.38", "1.36"))
    assert usual.envoys == {"envoy": ("1.36", "1.38")}
    assert asked(("istio",), ("1.40",), None, every=("envoy",), usual=("1.38",)).envoys == {
        "istio": ("1.40",)
    }


@pytest.mark.parametrize("said", ["1.2", "2", "1.40.0.0", "1.40-dev", "latest", "", "1.٣٦"])
def test_a_release_that_is_not_known(said: str) -> None:
    with pytest.raises(Failure, match=r"is no Envoy release that is judged for\. Known: 1\.36, 1\.37"):
        asked((), (said,), None)
    with pytest.raises(Failure, match=r"is no Istio release that is judged for\. Known: 1\.28, "):
        asked((), (), said)


def test_an_istio_whose_envoy_is_too_old() -> None:
    with pytest.raises(
        Failure, match=r"^Istio 1\.27 brings Envoy 1\.35; 1\.36 is the oldest known\. Known: 1\.28"
    ):
        asked((), (), "1.27")


def test_verdicts_of_what_was_asked_alone() -> None:
    found = [Verdict("istio", (OLD, ALL)), Verdict("envoy", (OLD,)), Verdict("envoy-gateway")]
    assert asked(("envoy", "istio"), ("1.40",), None).verdicts(found) == (
        Verdict("envoy"),
        Verdict("istio", (ALL,)),
    )


def test_releases_with_the_same_problems_are_one() -> None:
    three = Asked({"envoy": ("1.36", "1.37", "1.40")})
    assert list(three.by_release(Verdict("envoy", (OLD, ALL)))) == [
        (("1.36", "1.37"), (OLD, ALL)),
        (("1.40",), (ALL,)),
    ]
    assert list(three.by_release(Verdict("envoy"))) == [(("1.36", "1.37", "1.40"), ())]


def test_istio_is_called_by_its_release() -> None:
    found = asked((), ("1.40",), "1.28.9")
    assert [found.name(consumer) for consumer in found.envoys] == ["istio 1.28", "envoy", "envoy-gateway"]
