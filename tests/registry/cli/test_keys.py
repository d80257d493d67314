from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tests.registry.commands import Runner


def test_a_new_key_is_its_owners_alone_and_its_public_half_is_printed(
    sidecargo: Runner, tmp_path: Path
) -> None:
    path = tmp_path / "signing.pem"
    ran = sidecargo("keys", "new", path)
    assert (ran.code, ran.err) == (0, "")
    assert path.stat().st_mode & 0o777 == 0o600
    private = load_pem_private_key(path.read_bytes(), None)
    public = load_pem_public_key(ran.out.encode())
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(private.curve, ec.SECP256R1)
    assert private.public_key() == public


def test_a_file_is_never_overwritten(sidecargo: Runner, tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    path.write_text("mine")
    ran = sidecargo("keys", "new", path)
    assert (ran.code, ran.out, path.read_text()) == (2, "", "mine")
    assert ran.err.startswith(f"error: {path} exists. Choose another name")


def test_a_folder_that_is_not_there(sidecargo: Runner, tmp_path: Path) -> None:
    ran = sidecargo("keys", "new", tmp_path / "none" / "signing.pem")
    assert (ran.code, ran.out) == (2, "")
    assert "No such file or directory. Give a path" in ran.err
