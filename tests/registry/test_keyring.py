import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from registry.keyring import signing_key, write_new
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
