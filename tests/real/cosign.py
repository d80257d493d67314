"""Verifying as a user does, with the real cosign."""

from __future__ import annotations

from pathlib import Path

from tests.real.process import Finished, environment, run
from tests.real.tools import require


def verify(reference: str, key: Path, *, generation: int = 2) -> Finished:
    """Run `cosign verify` of that generation, without a transparency log."""
    command = [require(f"cosign{generation}"), "verify", "--key", key, "--private-infrastructure"]
    return run(*command, "--allow-http-registry", reference, env=_env(key.parent))


def sign(reference: str, key: Path, *, generation: int = 2, recursive: bool = False) -> Finished:
    """Run `cosign sign` of that generation with one's own key, without a transparency log."""
    command = [require(f"cosign{generation}"), "sign", "--key", key, "--tlog-upload=false", "--yes"]
    if generation == 3:
        command.append("--use-signing-config=false")
    if recursive:
        command.append("--recursive")
    return run(*command, "--allow-http-registry", reference, env=_env(key.parent))


def new_key(folder: Path) -> Path:
    """Make a key pair as `cosign generate-key-pair` does; returns its public half."""
    done = run(require("cosign2"), "generate-key-pair", env=_env(folder), folder=folder)
    assert done.code == 0, done.said
    return folder / "cosign.pub"


def _env(home: Path) -> dict[str, str]:
    return environment(HOME=str(home), COSIGN_PASSWORD="", DOCKER_CONFIG=str(home / "docker"))
