"""Programs that insist on paths of the whole machine, given a view of it in which these are a test's own.

Each gets a mount namespace (`unshare`) and in it a root of its own that has everything of the machine's, and
the test's things at those paths: the machine itself stays as it is, and two programs never meet.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.real.process import Word, run
from tests.real.tools import missing

# Called with the new root, then for each path: the folder in which it must be made ("" if it is there), what
# is to be seen, and the path. What is beside a path that must be made is out of sight for the program.
_SCRIPT = """
root=$1
shift
mount -t tmpfs none "$root"
for entry in /*; do
  if [ -L "$entry" ]; then
    cp -P "$entry" "$root$entry"
  elif [ -d "$entry" ]; then
    mkdir "$root$entry"
    mount --rbind "$entry" "$root$entry"
  fi
done
while [ "$1" != -- ]; do
  case $1 in
    "") ;;
    /) mkdir -p "$root$3" ;;
    *) mount -t tmpfs none "$root$1"; mkdir -p "$root$3" ;;
  esac
  mount --bind "$2" "$root$3"
  shift 3
done
shift
exec chroot "$root" sh -c 'cd "$0" && exec "$@"' "$PWD" "$@"
"""


def apart(command: list[Word], mounts: Mapping[Path, Path], *, folder: Path) -> list[Word]:
    """The command that runs `command` (same process, same signals) with other things at some paths.

    `mounts` maps a path to the file or folder that is to be seen there; a folder need not exist. In
    `folder` is where the view is put together. Skips the test where none can be had: without root, and
    without namespaces for users.
    """
    root = folder / "root"
    root.mkdir()
    if shutil.which("unshare") is None:
        missing("unshare is not here: it is part of util-linux")
    words: list[Word] = []
    for path, seen in mounts.items():
        above = "" if path.exists() else next(parent for parent in path.parents if parent.exists())
        words += [above, seen, path]
    start: list[Word] = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        start += ["--user", "--map-root-user"]
    start += ["sh", "-euc", _SCRIPT, "apart", root]
    tried = run(*start, "--", "true")
    if tried.code != 0:
        missing(f"a root of its own for {Path(command[0]).name} needs root: {tried.said.strip()}")
    return [*start, *words, "--", *command]


def hosts(folder: Path, names: Mapping[str, str]) -> dict[Path, Path]:
    """The mount of an /etc/hosts that knows `names` (name to address) too; it is kept in `folder`."""
    machine = Path("/etc/hosts")
    lines = [*machine.read_text().splitlines(), *(f"{address} {name}" for name, address in names.items())]
    mine = folder / "hosts"
    mine.write_text("\n".join(lines) + "\n")
    return {machine: mine}
