import pytest

from registry.publish.inspect import Findings
from registry.publish.policy import Decision, Mode, Policy, decide
from registry.verdict import Problem, Verdict
from storage.digest import Digest
from storage.errors import ManifestInvalid

SHA256 = Digest("sha256", "0" * 64)
SHA512 = Digest("sha512", "0" * 128)
LAYER = Problem("no-plugin-wasm", "there is no plugin.wasm.", "COPY main.wasm ./plugin.wasm")
ABI = Problem("no-abi", "there is no ABI.", "Build it with an SDK.")

WASI = Problem("missing-import", "sock_accept is missing.", "Do without.", envoys=("1.36", "1.37"))

OLD_ENVOYS = Findings((Verdict("istio", (WASI,)), Verdict("envoy", (WASI,))))
LOADS = Findings((Verdict("istio"), Verdict("envoy")))
NOWHERE = Findings((Verdict("istio", (LAYER, ABI)), Verdict("envoy", (ABI,))))
ENVOY_ONLY = Findings((Verdict("istio", (LAYER,)), Verdict("envoy")))


@pytest.mark.parametrize(
    ("policy", "findings", "digest", "decision"),
    [
        pytest.param(Policy(), LOADS, SHA256, Decision(loads=True), id="loads"),
        pytest.param(Policy("warn"), LOADS, SHA256, Decision(loads=True), id="loads, warn"),
        pytest.param(Policy("off"), LOADS, SHA256, Decision(loads=True), id="loads, off"),
        pytest.param(Policy(sparse=True), LOADS, SHA256, Decision(loads=True), id="loads, sparse"),
        pytest.param(
            Policy("warn"),
            NOWHERE,
            SHA256,
            Decision(loads=False, problems=(LAYER, ABI), is_warning=True),
            id="does not load, warn: each problem once",
        ),
        pytest.param(
            Policy("off"),
            NOWHERE,
            SHA256,
            Decision(loads=False, problems=(LAYER, ABI)),
            id="does not load, off",
        ),
        pytest.param(
            Policy(consumers=("envoy",)),
            ENVOY_ONLY,
            SHA256,
            Decision(loads=True),
            id="who is not asked refuses nothing",
        ),
        pytest.param(Policy(), OLD_ENVOYS, SHA256, Decision(loads=True), id="only older Envoys refuse it"),
    ],
)
def test_what_is_taken(policy: Policy, findings: Findings, digest: Digest, decision: Decision) -> None:
    assert decide(policy, findings, digest) == decision


def test_sha512_is_warned_of() -> None:
    decision = decide(Policy("warn"), LOADS, SHA512)
    assert not decision.loads
    (warning,) = decision.warnings
    assert "sha256" in warning
    assert [problem.code for problem in decision.problems] == ["sha512"]


def test_only_who_warns_tells_the_client() -> None:
    assert decide(Policy("warn"), NOWHERE, SHA256).warnings == (str(LAYER), str(ABI))
    off = decide(Policy("off"), LOADS, SHA512)
    assert (off.loads, off.warnings) == (False, ())


@pytest.mark.parametrize(
    ("policy", "findings", "digest", "codes"),
    [
        pytest.param(Policy(), NOWHERE, SHA256, ["no-plugin-wasm", "no-abi"], id="does not load"),
        pytest.param(Policy(consumers=("envoy",)), NOWHERE, SHA256, ["no-abi"], id="for one consumer"),
        pytest.param(
            Policy(envoys=("1.36", "1.40")), OLD_ENVOYS, SHA256, ["missing-import"], id="by release"
        ),
        pytest.param(Policy(sparse=True), NOWHERE, SHA256, ["no-plugin-wasm", "no-abi"], id="sparse"),
        pytest.param(Policy(), LOADS, SHA512, ["sha512"], id="sha512"),
        pytest.param(Policy(), NOWHERE, SHA512, ["no-plugin-wasm", "no-abi", "sha512"], id="all of it"),
    ],
)
def test_what_is_refused(policy: Policy, findings: Findings, digest: Digest, codes: list[str]) -> None:
    with pytest.raises(ManifestInvalid) as refused:
        decide(policy, findings, digest)
    error = refused.value
    assert isinstance(error.detail, list)
    assert [problem["code"] for problem in error.detail] == codes
    # The first problem and its fix are the message: docker shows the first 200 characters.
    assert (error.message, error.fix) == (error.detail[0]["message"], error.detail[0]["fix"])
    assert len(str(error)) <= 200


@pytest.mark.parametrize("mode", ["enforce", "warn", "off"])
def test_consumers_that_were_not_judged_decide_nothing(mode: Mode) -> None:
    assert decide(Policy(mode, consumers=("envoy-gateway",)), LOADS, SHA256) == Decision(loads=True)
