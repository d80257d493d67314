"""Verifying as a user does, with the real cosign."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests.real.process import Finished, environment, run
from tests.real.tools import require

_NO_ROOT = '{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'


def verify(reference: str, key: Path, *, generation: int = 2) -> Finished:
    """Run `cosign verify` of that generation, without a transparency log."""
    return _checked("verify", reference, key, generation)


def verify_attestation(reference: str, key: Path, kind: str, *, generation: int = 3) -> Finished:
    """Run `cosign verify-attestation` of that generation for statements of that type."""
    return _checked("verify-attestation", reference, key, generation, "--type", kind)


def _checked(command: str, reference: str, key: Path, generation: int, *more: str) -> Finished:
    words = [require(f"cosign{generation}"), command, "--key", key, "--insecure-ignore-tlog", *more]
    if generation == 2:
        # It wants one where there are bundles, though a key needs none.
        root = key.parent / "trusted_root.json"
        root.write_text(_NO_ROOT)
        words += ["--trusted-root", root]
    return run(*words, "--allow-http-registry", reference, env=_env(key.parent))


def sign(reference: str, key: Path, *, generation: int = 2, recursive: bool = False) -> Finished:
    """Run `cosign sign` of that generation with one's own key, without a transparency log."""
    command = [require(f"cosign{generation}"), "sign", "--key", key, "--tlog-upload=false", "--yes"]
    if generation == 3:
        command.append("--use-signing-config=false")
    if recursive:
        command.append("--recursive")
    return run(*command, "--allow-http-registry", reference, env=_env(key.parent))


def new_key(folder: Path, *, generation: int = 2, passphrase: str = "") -> Path:
    """Make a key pair as `cosign generate-key-pair` does; returns its public half."""
    env = _env(folder) | {"COSIGN_PASSWORD": passphrase}
    done = run(require(f"cosign{generation}"), "generate-key-pair", env=env, folder=folder)
    assert done.code == 0, done.said
    return folder / "cosign.pub"


def log_in(home: Path, host: str, name: str, secret: str) -> None:
    """Let cosign, with a key in that folder, show a name and a secret as after `docker login`."""
    known = {"auths": {host: {"auth": base64.b64encode(f"{name}:{secret}".encode()).decode()}}}
    (home / "docker").mkdir(exist_ok=True)
    (home / "docker/config.json").write_text(json.dumps(known))


def _env(home: Path) -> dict[str, str]:
    return environment(HOME=str(home), COSIGN_PASSWORD="", DOCKER_CONFIG=str(home / "docker"))
