"""The seed story, whole, on a server on this machine; `story.py` has the steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.dockerd import Docker
from tests.real.sidecargo import Sidecargo
from tests.real.story import Story, tell

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_a_plugin_goes_from_go_build_to_the_header_that_envoy_adds(
    sidecargo: Sidecargo, docker: Docker, upstream: int, tmp_path: Path
) -> None:
    tell(Story(sidecargo.host, docker, upstream, tmp_path))
