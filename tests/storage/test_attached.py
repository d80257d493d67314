from __future__ import annotations

import pytest

from storage import attached, names
from storage.digest import Digest

ONE, LONG = Digest.of(b"one"), Digest.of(b"one", "sha512")


@pytest.mark.parametrize("subject", [ONE, LONG], ids=["sha256", "sha512"])
def test_what_belongs_to_a_manifest_is_known_by_its_tags(subject: Digest) -> None:
    tags = attached.tags(subject)
    assert [tag.removeprefix(attached.stem(subject)) for tag in tags] == ["", ".sig", ".att", ".sbom"]
    assert {attached.stem_of(names.tag(tag)) for tag in tags} == {attached.stem(subject)}


@pytest.mark.parametrize(
    "tag",
    [
        "v1",
        "sha256",
        f"sha256-{ONE.hex[:-1]}",
        f"sha256-{ONE.hex}0",
        f"sha256-{ONE.hex}.txt",
        f"sha1-{ONE.hex}",
    ],
)
def test_other_tags_stand_for_themselves(tag: str) -> None:
    assert attached.stem_of(tag) is None
