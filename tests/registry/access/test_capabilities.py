from __future__ import annotations

import pytest

from registry.access.capabilities import Capabilities, CapabilityKeyInvalid, redacted
from registry.signing import keys

KEY, OTHER = keys.new_key().private_pem, keys.new_key().private_pem
ID = "0123456789abcdef"
DIGEST = "sha256:" + "1" * 64


def test_the_same_is_always_the_same() -> None:
    written = Capabilities([KEY]).write("team/a", DIGEST, ID)
    assert Capabilities([KEY, OTHER]).write("team/a", DIGEST, ID) == written
    assert Capabilities([KEY]).read(written, "team/a", DIGEST) == ID


@pytest.mark.parametrize(
    ("repository", "reference"),
    [("team/b", DIGEST), ("team/a", "v1"), ("team", "a"), ("team/a", DIGEST[:-1]), ("team/a", f"{DIGEST}\n")],
)
def test_it_is_for_one_thing_alone(repository: str, reference: str) -> None:
    capabilities = Capabilities([KEY])
    assert capabilities.read(capabilities.write("team/a", DIGEST, ID), repository, reference) is None


def test_no_other_id_and_no_other_mark() -> None:
    capabilities = Capabilities([KEY])
    written = capabilities.write("team/a", "v1", ID)
    changed = [
        written.replace(ID, ID[::-1]),
        written[:-1],
        written + "A",
        written.swapcase(),
        written.removeprefix("scu_"),
        "",
        f"scu_{ID}_",
        f"scu_{ID}_{'A' * 43}",
        written + "=",
        " " + written,
        written + "\n",
    ]
    assert [capabilities.read(text, "team/a", "v1") for text in changed] == [None] * len(changed)


def test_every_character_of_it_counts() -> None:
    capabilities = Capabilities([KEY])
    written = capabilities.write("team/a", "v1", ID)
    for at in range(len("scu_"), len(written)):
        other = "0" if written[at] != "0" else "1"
        assert capabilities.read(written[:at] + other + written[at + 1 :], "team/a", "v1") is None


def test_keys_change_one_after_another() -> None:
    before = Capabilities([KEY]).write("team/a", "v1", ID)
    both = Capabilities([OTHER, KEY])
    assert both.read(before, "team/a", "v1") == ID
    after = both.write("team/a", "v1", ID)
    assert after != before
    assert Capabilities([OTHER]).read(after, "team/a", "v1") == ID
    assert Capabilities([OTHER]).read(before, "team/a", "v1") is None


def test_without_a_key_none_is_known() -> None:
    written = Capabilities([KEY]).write("team/a", "v1", ID)
    assert Capabilities([KEY]).writes and not Capabilities().writes
    assert Capabilities().read(written, "team/a", "v1") is None


@pytest.mark.parametrize(
    "pem",
    [b"", b"junk", keys.new_key().public_pem, KEY[: len(KEY) // 2]],
    ids=["nothing", "junk", "public", "half"],
)
def test_what_is_no_key(pem: bytes) -> None:
    with pytest.raises(CapabilityKeyInvalid):
        Capabilities([KEY, pem])
    assert "keys new" in str(CapabilityKeyInvalid())


def test_what_is_logged_has_the_id_alone() -> None:
    written = Capabilities([KEY]).write("team/a", "v1", ID)
    secret = written.rpartition(f"{ID}_")[2]
    said = redacted(f"GET /plugins/team/a:v1/{written}/plugin.wasm and {written[:-5]}")
    assert said == f"GET /plugins/team/a:v1/scu_{ID}_…/plugin.wasm and scu_{ID}_…"
    assert secret[:10] not in said
    assert redacted("nothing of the kind: scu_x") == "nothing of the kind: scu_x"
