import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from registry import keyring
from registry.keyring import (
    ring,
    rotate,
    signing_key,
    token_key,
    url_keys,
    verification,
    verifying,
    write_new,
)
from registry.settings import Settings, values
from registry.settings.model import Signing
from registry.signing import keys
from registry.signing.keys import KeyInvalid
from storage.errors import StoreUnavailable
from tests.real.process import environment, free_port, run
from tests.real.tools import ROOT


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_one_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        key = signing_key([], tmp_path)
    finally:
        os.umask(old)
    made = tmp_path / "private" / "signing.key"
    assert (mode(made), mode(made.parent)) == (0o600, 0o700)
    assert made.read_bytes() == key.private_pem
    assert signing_key([], tmp_path).key_id == key.key_id
    assert [path.name for path in made.parent.iterdir()] == ["signing.key"]


def test_tokens_have_a_key_of_their_own(tmp_path: Path) -> None:
    signing = signing_key([], tmp_path)
    key = token_key(None, tmp_path)
    made = tmp_path / "private" / "tokens.key"
    assert key == made.read_bytes() == token_key(None, tmp_path) != signing.private_pem
    assert mode(made) == 0o600
    write_new(tmp_path / "named")
    assert token_key(str(tmp_path / "named"), None) == (tmp_path / "named").read_bytes()
    rotate(tmp_path)
    assert token_key(None, tmp_path) == key
    for named, root, said in (
        (None, None, "access.tokens.key: the same for every server"),
        (str(tmp_path / "none"), tmp_path, "the key of access.tokens"),
    ):
        with pytest.raises(StoreUnavailable) as refusal:
            token_key(named, root)
        assert said in str(refusal.value)


def test_urls_have_keys_of_their_own(tmp_path: Path) -> None:
    (key,) = url_keys([], tmp_path)
    made = tmp_path / "private" / "urls.key"
    assert key == made.read_bytes() != token_key(None, tmp_path)
    assert url_keys([], tmp_path) == [key]
    assert mode(made) == 0o600
    assert url_keys([], None) == []
    named = [str(tmp_path / name) for name in ("a", "b")]
    for name in named:
        write_new(Path(name))
    assert url_keys(named, tmp_path) == [Path(name).read_bytes() for name in named]
    with pytest.raises(StoreUnavailable, match=r"the key of access\.urls .* cannot be read"):
        url_keys([*named, str(tmp_path / "none")], tmp_path)


def test_processes_that_start_at_once_have_the_same(tmp_path: Path) -> None:
    code = f"from registry.keyring import signing_key; from pathlib import Path; \
print(signing_key([], Path({str(tmp_path)!r})).key_id)"

    def one(_: int) -> str:
        return subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(one, range(6)))) == 1
    assert [path.name for path in (tmp_path / "private").iterdir()] == ["signing.key"]


def test_the_first_of_those_named_signs(tmp_path: Path) -> None:
    keys = [write_new(tmp_path / name) for name in ("a", "b")]
    assert signing_key([tmp_path / "a", tmp_path / "b"], tmp_path).key_id == keys[0].key_id
    assert not (tmp_path / "private").exists()


def test_a_bucket_needs_one_that_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no private key is kept in a bucket") as raised:
        signing_key([], None)
    assert "sidecargo keys new signing.key" in raised.value.fix
    write_new(tmp_path / "mine")
    assert signing_key([tmp_path / "mine"], None).private_pem == (tmp_path / "mine").read_bytes()


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    key = write_new(tmp_path / "a")
    assert mode(tmp_path / "a") == 0o600
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == key.private_pem


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"absent\.key cannot be read: No such file") as refused:
        signing_key([tmp_path / "absent.key"], tmp_path)
    assert "sidecargo keys new" in refused.value.fix
    with pytest.raises(StoreUnavailable, match="Is a directory"):
        signing_key([tmp_path], tmp_path)


def test_a_file_that_holds_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "my.key").write_text("secret words")
    with pytest.raises(KeyInvalid, match=r"my\.key") as refused:
        signing_key([tmp_path / "my.key"], tmp_path)
    assert "secret" not in str(refused.value)
    assert refused.value.fix


@pytest.mark.parametrize(
    ("content", "made"),
    [
        pytest.param(None, False, id="absent, named"),
        *(
            pytest.param(content, made, id=f"{content.decode() or 'empty'}, {where}")
            for content in (b"", b"secret words", b"damaged")
            for made, where in ((False, "named"), (True, "in the store"))
        ),
    ],
)
def test_the_server_says_so_and_exits_1(tmp_path: Path, content: bytes | None, made: bool) -> None:
    path = tmp_path / "data" / "private" / "signing.key" if made else tmp_path / "my.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    if content == b"damaged":
        content = write_new(tmp_path / "good").private_pem.replace(b"M", b"N", 1)
    if content is not None:
        path.write_bytes(content)
    command = [sys.executable, "-m", "registry", "serve", "--port", str(free_port())]
    command += ["--storage", str(tmp_path / "data"), *([] if made else ["--signing-key", str(path)])]
    done = run(*command, folder=tmp_path, env=environment(PYTHONPATH=str(ROOT)))
    assert done.code == 1, done.said
    (line,) = done.err.splitlines()
    assert str(path) in line
    assert re.search(r"sidecargo keys new|Restore", line)
    assert "secret" not in done.said
    assert not content or len(content) < 50 or content[40:60].decode() not in done.said


def test_all_that_are_named_count(tmp_path: Path) -> None:
    """An old key may be there as its public part, and the same key twice counts once."""
    first, second, third = (write_new(tmp_path / name) for name in ("a", "b", "c"))
    (tmp_path / "c.pub").write_bytes(third.public_pem)
    names = tuple(str(tmp_path / name) for name in ("a", "b", "c.pub", "c"))
    found = ring(Signing(keys=names), None)
    assert found.signing.key_id == first.key_id
    assert [key.key_id for key in found] == [first.key_id, second.key_id, third.key_id]
    assert found.published[0].since == (tmp_path / "a").stat().st_mtime


def test_the_first_must_be_able_to_sign(tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_bytes(keys.new_key().public_pem)
    with pytest.raises(KeyInvalid, match=r"a\.pub: this is a public key"):
        ring(Signing(keys=(str(tmp_path / "a.pub"),)), None)


def test_any_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    write_new(tmp_path / "a")
    with pytest.raises(StoreUnavailable, match=r"gone\.pub cannot be read"):
        ring(Signing(keys=(str(tmp_path / "a"), str(tmp_path / "gone.pub"))), None)
    (tmp_path / "odd.pub").write_bytes(b"-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----\n")
    with pytest.raises(KeyInvalid, match=r"odd\.pub") as refused:
        ring(Signing(keys=(str(tmp_path / "a"), str(tmp_path / "odd.pub"))), None)
    assert "hunter2" not in str(refused.value)


def test_a_key_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    key = keys.new_key()
    monkeypatch.setenv("MY_KEY", key.private_pem.decode())
    found = ring(Signing(keys=("env://MY_KEY",)), None)
    assert (found.signing.key_id, found.published[0].since) == (key.key_id, None)
    monkeypatch.setenv("MY_KEY", "hunter2")
    with pytest.raises(KeyInvalid, match="env://MY_KEY: ") as refused:
        ring(Signing(keys=("env://MY_KEY",)), None)
    assert "hunter2" not in str(refused.value)
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(StoreUnavailable, match="the variable MY_KEY is not set") as unset:
        ring(Signing(keys=("env://MY_KEY",)), None)
    assert "hold the key in PEM" in unset.value.fix


def test_passphrases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    (tmp_path / "a").write_bytes(private.private_bytes(*form, serialization.BestAvailableEncryption(b"p")))
    named = (str(tmp_path / "a"),)
    with pytest.raises(KeyInvalid, match="no passphrase is given"):
        ring(Signing(keys=named), None)
    monkeypatch.setenv("COSIGN_PASSWORD", "p")
    assert ring(Signing(keys=named), None)
    with pytest.raises(KeyInvalid, match="does not open"):
        ring(Signing(keys=named, passphrase=SecretStr("other")), None)
    monkeypatch.setenv("COSIGN_PASSWORD", "other")
    assert ring(Signing(keys=named, passphrase=SecretStr("p")), None)


def test_the_one_beside_the_content_is_rotated(tmp_path: Path) -> None:
    first = ring(Signing(), tmp_path).signing
    folder = tmp_path / "private"
    os.utime(folder / "signing.key", (1_000_000_000, 1_000_000_000))
    second, old = rotate(tmp_path)
    assert (old.key_id, second.key_id != old.key_id) == (first.key_id, True)
    found = ring(Signing(), tmp_path)
    assert [key.key_id for key in found] == [second.key_id, first.key_id]
    assert found.published[1].since == 1_000_000_000
    third, _ = rotate(tmp_path)
    assert [key.key_id for key in ring(Signing(), tmp_path)] == [third.key_id, second.key_id, first.key_id]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["signing.key", f"{first.key_id}.pub", f"{second.key_id}.pub"]
    )
    assert mode(folder / "signing.key") == 0o600
    held = b"".join(path.read_bytes() for path in folder.glob("*.pub"))
    assert b"PRIVATE" not in held


def test_what_is_read_shows_nowhere(tmp_path: Path) -> None:
    key = write_new(tmp_path / "a")
    source = keyring._file(tmp_path / "a")
    secret = key.private_pem.splitlines()[1].decode()
    assert secret not in f"{source!r} {ring(Signing(keys=(str(tmp_path / 'a'),)), None)!r}"


def test_keys_that_others_sign_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = (keys.new_key() for _ in range(3))
    (tmp_path / "a.pub").write_bytes(one.public_pem)
    (tmp_path / "b.key").write_bytes(two.private_pem)
    monkeypatch.setenv("C", three.public_pem.decode())
    found = verifying([*(str(tmp_path / name) for name in ("a.pub", "b.key", "a.pub")), "env://C"])
    assert [key.key_id for key in found] == [one.key_id, two.key_id, three.key_id]
    assert verifying([]) == ()


def test_the_first_rule_that_names_a_repository_says_who_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "everybody_may_push", lambda _: False)
    one, two = keys.new_key(), keys.new_key()
    for name, key in (("one", one), ("two", two)):
        (tmp_path / name).write_bytes(key.public_pem)
    rules = [
        {"repositories": "prod/x", "keys": [str(tmp_path / "one"), str(tmp_path / "two")]},
        {"repositories": "prod/**", "keys": [str(tmp_path / "two")]},
    ]
    keys_of = verification(Settings.model_validate({"verification": rules}))
    found = {name: [key.key_id for key in keys_of(name)] for name in ("prod/x", "prod", "prod/a/b", "dev")}
    both = [one.key_id, two.key_id]
    assert found == {"prod/x": both, "prod": [two.key_id], "prod/a/b": [two.key_id], "dev": []}
    assert verification(Settings())("prod") == ()
    rules[1]["keys"] = [str(tmp_path / "gone")]
    with pytest.raises(StoreUnavailable, match="gone cannot be read"):
        verification(Settings.model_validate({"verification": rules}))


def test_a_key_that_others_sign_with_and_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"the key .*gone\.pub cannot be read") as gone:
        verifying([str(tmp_path / "gone.pub")])
    assert "public key in PEM" in gone.value.fix
    (tmp_path / "odd").write_bytes(b"hunter2")
    with pytest.raises(KeyInvalid, match=r"odd: the public key cannot be read") as odd:
        verifying([str(tmp_path / "odd")])
    assert "hunter2" not in str(odd.value)
