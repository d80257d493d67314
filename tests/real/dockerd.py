"""A docker daemon of the tests' own: no bridge, no iptables, all of its state in one folder."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.real.process import Finished, Process, environment, run
from tests.real.tools import missing, require


@dataclass(frozen=True, slots=True)
class Docker:
    """The docker command, bound to that daemon; `version` says which client talks to which daemon."""

    binary: Path
    folder: Path
    process: Process
    version: str = field(default="", compare=False)

    @property
    def socket(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    def __call__(self, *words: str | Path, seconds: float = 600) -> Finished:
        """Run `docker WORDS`."""
        # The classic builder: it is in every docker, buildx is not.
        env = environment(DOCKER_CONFIG=str(self.folder / "client"), DOCKER_BUILDKIT="0")
        return run(self.binary, "-H", self.socket, *words, env=env, seconds=seconds)

    def succeed(self, *words: str | Path, seconds: float = 600) -> Finished:
        """Run `docker WORDS`, which must exit 0."""
        done = self(*words, seconds=seconds)
        assert done.code == 0, f"docker {' '.join(map(str, words))} → {done.code}\n{done.said}"
        return done

    def stop(self) -> None:
        """End the daemon and remove all that it made."""
        self.process.stop()
        remove(self.folder)


def start(folder: Path) -> Docker:
    """Start a daemon in `folder`, which must be short: its socket's path has 108 characters at most.

    Skips the test where there is no daemon or no right to run one.
    """
    daemon, binary = require("dockerd"), require("docker")
    if os.geteuid() != 0:
        missing("a docker daemon needs root")
    (folder / "client").mkdir(parents=True)
    command = [daemon, "--iptables=false", "--bridge=none", "-H", f"unix://{folder}/docker.sock"]
    command += ["--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid"]
    process = Process(command, log=folder / "dockerd.log")
    docker = Docker(binary, folder, process)
    process.wait_until(lambda: docker("version").code == 0, seconds=60)
    versions = docker.succeed("version", "--format", "client {{.Client.Version}}, daemon {{.Server.Version}}")
    return Docker(binary, folder, process, versions.out.strip())


def remove(folder: Path) -> None:
    """Remove the folder of a daemon that has ended, with the mounts that it left in there."""
    mounted = re.findall(rf"^\S+ ({re.escape(str(folder))}/\S+) ", Path("/proc/mounts").read_text(), re.M)
    for mount in reversed(mounted):
        run("umount", "--lazy", mount)
    shutil.rmtree(folder)
