"""`quota` over a real folder."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from storage.disk import DiskDriver
from storage.store import Store
from tests.registry.commands import Runner
from tests.storage.gc.scene import filled

QUOTA = 'limits: {quota: [{repositories: "team/**", bytes: 10KiB}, {repositories: "**", bytes: 0}]}\n'


def stored(folder: Path) -> None:
    async def fill() -> None:
        store = Store(DiskDriver(folder), upload_limit=1 << 30)
        await store.open()
        await filled(store.repository("team/wasm"), bytes(2046))

    asyncio.run(fill())


def test_what_is_used_is_shown_once_it_was_counted(sidecargo: Runner, tmp_path: Path) -> None:
    stored(tmp_path / "data")
    (tmp_path / "s.yaml").write_text(QUOTA)
    words = ("quota", "--storage", str(tmp_path / "data"), "--config", str(tmp_path / "s.yaml"))
    before = sidecargo(*words)
    assert (before.code, before.out) == (
        0,
        "team/**  not counted yet, of 10 KiB\n**  not counted yet, of 0 bytes\n",
    )

    counted = sidecargo(*words, "--count")
    assert (counted.code, counted.out) == (
        0,
        "team/**  2 KiB of 10 KiB  20.0 %\n**  0 bytes of 0 bytes  all\n",
    )
    shown = json.loads(sidecargo(*words, "--json").out)["quotas"]
    assert [(one["repositories"], one["used"], one["allowed"]) for one in shown] == [
        ("team/**", 2048, 10_240),
        ("**", 0, 0),
    ]
    assert shown[0]["counted"]


def test_without_a_quota_it_says_where_one_is_set(sidecargo: Runner, tmp_path: Path) -> None:
    stored(tmp_path / "data")
    done = sidecargo("quota", "--storage", str(tmp_path / "data"))
    assert done.code == 2
    assert "limits.quota" in done.err
