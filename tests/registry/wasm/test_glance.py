from __future__ import annotations

import pytest

from registry.wasm.glance import CORRUPTED, INVALID, UNKNOWN_ABI, words
from tests.registry.wasm.binary import HEADER, custom, exports, leb, module, name, section, types

ABI = exports(("proxy_abi_version_0_2_1", 0, 0))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(module(ABI), INVALID, id="what V8 refuses"),
        pytest.param(module(ABI, types(), types()), INVALID, id="order is not looked at"),
        pytest.param(b"\0asm\x0d\0\x01\0" + ABI, INVALID, id="the version is not looked at"),
        pytest.param(
            module(exports(("x", 3, 0), ("proxy_abi_version_0_1_0", 0, 0))), INVALID, id="second export"
        ),
        pytest.param(HEADER, UNKNOWN_ABI, id="nothing"),
        pytest.param(module(types()), UNKNOWN_ABI, id="no exports"),
        pytest.param(module(exports(), ABI), UNKNOWN_ABI, id="the first export section counts"),
        pytest.param(module(exports(("proxy_abi_version_0_2_1", 2, 0))), UNKNOWN_ABI, id="a memory"),
        pytest.param(module(exports(("proxy_abi_version_0_2_2", 0, 0))), UNKNOWN_ABI, id="unknown"),
        pytest.param(module(exports(), b"\x01\x09\x00"), UNKNOWN_ABI, id="cut after exports without an ABI"),
        pytest.param(module(ABI, b"\x01\x09\x00"), CORRUPTED, id="cut after exports"),
        pytest.param(module(b"\x01"), CORRUPTED, id="no length"),
        pytest.param(module(ABI, section(0, b"")), CORRUPTED, id="custom section without a name"),
        pytest.param(module(ABI, section(0, b"\x05x")), CORRUPTED, id="its name is cut"),
        pytest.param(
            module(ABI, custom("name"), section(0, b"\x05x"), types(), types()),
            INVALID,
            id="a name that goes on in the next section, after the names of functions",
        ),
        pytest.param(
            module(section(7, b"\x01" + name("x") + b"\x00\xff\xff\xff\xff\x07")),
            CORRUPTED,
            id="an export's index over 30 bits",
        ),
        pytest.param(
            module(section(7, b"\x02" + name("x") + b"\x00"), types()),
            CORRUPTED,
            id="an export after one that goes on in the next section",
        ),
        pytest.param(module(ABI, custom("name", b"\xff")), CORRUPTED, id="names"),
        pytest.param(module(section(7, leb(1 << 20))), CORRUPTED, id="many exports announced"),
        pytest.param(module(section(7, b"\x01\x7f")), CORRUPTED, id="an export's name is cut"),
        pytest.param(module(section(7, b"\x01" + name("x") + b"\x00")), CORRUPTED, id="an export is cut"),
        pytest.param(
            module(section(7, b"\x01" + name("x") + b"\x00"), types()),
            UNKNOWN_ABI,
            id="an export goes on in the next section",
        ),
    ],
)
def test_words(data: bytes, says: str) -> None:
    assert words(memoryview(data)) == says
