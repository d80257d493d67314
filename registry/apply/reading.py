"""From what was typed to options: every rule of the resources' schemas that a user can break."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from registry.apply import kubernetes, values
from registry.apply.options import (
    FAIL_STRATEGIES,
    HTTP,
    ISTIO,
    KINDS,
    OCI,
    OPTIONS,
    WHY_NOT,
    Env,
    Match,
    OptionInvalid,
    Options,
    Target,
)

# Istio: pkg/config/validation/validation.go, allowedTargetRefs. Envoy Gateway: the CEL rules of its CRD.
ISTIO_TARGETS = ("Gateway", "GatewayClass", "Service", "ServiceEntry")
ROUTES = ("HTTPRoute", "GRPCRoute", "UDPRoute", "TCPRoute", "TLSRoute")
GATEWAY_TARGETS = ("Gateway", "ListenerSet", *ROUTES)

_MAX_REPEATED = 256
_MAX_ISTIO_TARGETS = 16
_MAX_TEXT = 256
_MAX_ENV_VALUE = 2048
_DURATION = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,9})?s")
_CAPABILITY = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PORT = re.compile(r"[0-9]{1,5}")


def read(kind: str, asked: Mapping[str, Sequence[str]]) -> Options:
    """The options for a kind (of KINDS) out of the texts that were given for each; raises OptionInvalid."""
    found: dict[str, Any] = {}
    for name, texts in asked.items():
        option = OPTIONS.get(name)
        if option is None:
            raise OptionInvalid(name, "is no option.", f"There are {', '.join(OPTIONS)}.")
        if kind not in option.kinds:
            raise OptionInvalid(name, f"is not for {KINDS[kind]}.", WHY_NOT.get((kind, name), ""))
        if len(texts) > (_MAX_REPEATED if option.repeated else 1):
            raise OptionInvalid(name, "is given too often.")
        for text in texts:
            if not text.isprintable() and name not in ("plugin-config", "vm-config", "vm-env"):
                raise OptionInvalid(name, "has characters that cannot be printed.")
        read_one = _READERS[name]
        values_of = tuple(read_one(kind, name, text) for text in texts)
        if values_of:
            found[option.field] = values_of if option.repeated else values_of[0]
    if "selector" in found:
        found["selector"] = _unique("selector", found["selector"])
    options = Options(**found)
    _check(kind, options)
    return options


def _check(kind: str, options: Options) -> None:
    """The rules that concern more than one option."""
    if kind in ISTIO and options.selector and options.target:
        raise OptionInvalid(
            "target", "and selector exclude each other.", "Give one of them.", beside="selector"
        )
    if kind in ISTIO and len(options.target) > _MAX_ISTIO_TARGETS:
        raise OptionInvalid("target", f"is given more than {_MAX_ISTIO_TARGETS} times.")
    if len(set(options.target)) < len(options.target):
        raise OptionInvalid("target", "names a resource twice.")
    _unique("vm-env", ((variable.name, variable.value) for variable in options.vm_env))
    if kind == "envoyextensionpolicy":
        _check_gateway(options)
    if kind == "envoy":
        _check_envoy(options)
    if options.by == HTTP and options.pull_secret:
        raise OptionInvalid(
            "pull-secret",
            "is for by oci: what is fetched by URL is fetched without credentials.",
            beside="by oci",
        )


def _check_gateway(options: Options) -> None:
    if options.fail_strategy == "FAIL_RELOAD":
        raise OptionInvalid("fail-strategy", "of EnvoyExtensionPolicy is FAIL_CLOSE or FAIL_OPEN.")
    if any(variable.value is not None for variable in options.vm_env):
        raise OptionInvalid(
            "vm-env", "of EnvoyExtensionPolicy is a NAME in Envoy's environment.", "Leave out =VALUE."
        )
    if options.selector_kind and not options.selector:
        raise OptionInvalid("selector-kind", "needs a selector.", beside="selector")
    attached = {target.kind for target in options.target}
    if options.selector or not attached:
        attached.add(options.selector_kind or "Gateway")
    if options.merge_type and not attached <= set(ROUTES):
        fix = f"Give a target of {', '.join(ROUTES)}."
        raise OptionInvalid("merge-type", "is for routes only.", fix, beside="target")


def _check_envoy(options: Options) -> None:
    if options.reload_backoff and options.fail_strategy != "FAIL_RELOAD":
        raise OptionInvalid("reload-backoff", "is for fail-strategy FAIL_RELOAD.", beside="fail-strategy")
    if options.by == OCI:
        raise OptionInvalid("by", "is http for Envoy: it pulls no images.")
    for name in ("by", "cluster", "timeout", "retries", "ca"):
        if options.local and getattr(options, name) not in ("", None):
            why = "is for a module that Envoy downloads."
            raise OptionInvalid(name, why, "Leave out local.", beside="local")


def _unique(option: str, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise OptionInvalid(option, f"names {key!r} twice.")
        found[key] = value
    return found


def _one_of(*words: str) -> Callable[[str, str, str], str]:
    """A reader of one of some words, in whatever case."""
    meant = {word.casefold(): word for word in words}

    def one(_: str, option: str, text: str) -> str:
        word = meant.get(text.casefold().replace("-", "_"), "")
        if not word:
            raise OptionInvalid(option, f"{text[:80]!r} is none of {', '.join(words)}.")
        return word

    return one


def _flag(kind: str, option: str, text: str) -> bool:
    return bool(_one_of("true", "false")(kind, option, text) == "true")


def _label(_: str, option: str, text: str) -> str:
    if not kubernetes.is_label(text):
        raise OptionInvalid(
            option,
            f"{text[:80]!r} is not a name for Kubernetes.",
            f"Use up to {kubernetes.MAX_LABEL} lower-case letters, digits and - inside.",
        )
    return text


def _subdomain(_: str, option: str, text: str) -> str:
    if not kubernetes.is_subdomain(text):
        raise OptionInvalid(
            option,
            f"{text[:80]!r} is not a name in Kubernetes.",
            "Use lower-case letters, digits, - and . inside.",
        )
    return text


def _text(_: str, option: str, text: str) -> str:
    if not 0 < len(text) <= _MAX_TEXT:
        raise OptionInvalid(option, f"takes 1 to {_MAX_TEXT} characters.")
    return text


def _number(least: int, most: int) -> Callable[[str, str, str], int]:
    def number(_: str, option: str, text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,10}", text, re.ASCII) or not least <= int(text) <= most:
            raise OptionInvalid(option, f"{text[:80]!r} is no whole number from {least} to {most}.")
        return int(text)

    return number


def _selector(_: str, option: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not kubernetes.is_label_key(key) or not kubernetes.is_label_value(value):
        raise OptionInvalid(option, f"{text[:80]!r} is no label.", "Write KEY=VALUE, as in app=web.")
    return key, value


def _target(kind: str, option: str, text: str) -> Target:
    allowed = ISTIO_TARGETS if kind in ISTIO else GATEWAY_TARGETS
    meant, *names = text.split("/")
    found = {one.casefold(): one for one in allowed}.get(meant.casefold())
    if found is None:
        raise OptionInvalid(option, f"{text[:80]!r} is of none of these kinds: {', '.join(allowed)}.")
    most = 1 if kind in ISTIO else 2
    if not 1 <= len(names) <= most or not all(map(kubernetes.is_subdomain, names)):
        form = "KIND/NAME" if most == 1 else "KIND/NAME or KIND/NAME/SECTION"
        raise OptionInvalid(option, f"{text[:80]!r} names no resource.", f"Write {form}.")
    return Target(found, *names)


def _match(_: str, option: str, text: str) -> Match:
    mode, _colon, said = text.partition(":")
    ports = said.split(",") if said else []
    is_right = mode.upper() in ("", "CLIENT", "SERVER", "CLIENT_AND_SERVER") and (mode or ports)
    numbers = tuple(int(port) for port in ports if _PORT.fullmatch(port) and 0 < int(port) < 1 << 16)
    if not is_right or len(numbers) != len(ports) or len(set(numbers)) < len(numbers):
        raise OptionInvalid(
            option,
            f"{text[:80]!r} is no choice of traffic.",
            "Write CLIENT, SERVER or CLIENT_AND_SERVER, or ports, or both, as in SERVER:8080,9090.",
        )
    return Match(mode.upper(), numbers)


def _env(_: str, option: str, text: str) -> Env:
    name, equals, value = text.partition("=")
    if not 0 < len(name) <= _MAX_TEXT or not name.isprintable() or len(value) > _MAX_ENV_VALUE:
        raise OptionInvalid(
            option,
            f"{name[:80]!r} is no variable of up to {_MAX_TEXT} characters with up to {_MAX_ENV_VALUE}.",
            "Write NAME=VALUE, or NAME for the proxy's own.",
        )
    if "\0" in value or not _is_text(value):
        raise OptionInvalid(option, f"{name[:80]!r} has a value that is no text.")
    return Env(name, value if equals else None)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _config(kind: str, option: str, text: str) -> Any:
    try:
        found = values.parse(text)
    except values.NotAValue as error:
        raise OptionInvalid(option, str(error)) from None
    if kind in ISTIO and not isinstance(found, dict):
        raise OptionInvalid(option, f'of {KINDS[kind]} is an object, as in {{"key": "value"}}.')
    if found is None:
        raise OptionInvalid(option, "is null.", "Leave it out.")
    return found


def _ca(kind: str, option: str, text: str) -> str:
    if kind == "envoy":
        return _path(kind, option, text)
    meant, slash, name = text.rpartition("/")
    if slash:
        meant = _one_of("Secret", "ConfigMap", "ClusterTrustBundle")(kind, option, meant)
    _subdomain(kind, option, name)
    return f"{meant}/{name}" if slash else name


def _path(_: str, option: str, text: str) -> str:
    if not 0 < len(text) <= 4096:
        raise OptionInvalid(option, "is no path.")
    return text


def _duration(_: str, option: str, text: str) -> str:
    duration = text if text.endswith("s") else f"{text}s"
    if not _DURATION.fullmatch(duration) or not float(duration[:-1]):
        raise OptionInvalid(option, f"{text[:80]!r} is no time in seconds.", "Write 30s, for example.")
    return duration


def _capability(_: str, option: str, text: str) -> str:
    if not _CAPABILITY.fullmatch(text):
        raise OptionInvalid(option, f"{text[:80]!r} is no host function.", "Write proxy_log, for example.")
    return text


_READERS: Mapping[str, Callable[[str, str, str], Any]] = {
    "name": _label,
    "namespace": _label,
    "by": _one_of(OCI, HTTP),
    "selector": _selector,
    "selector-kind": _one_of(*GATEWAY_TARGETS),
    "target": _target,
    "merge-type": _one_of("StrategicMerge", "JSONMerge"),
    "phase": _one_of("AUTHN", "AUTHZ", "STATS"),
    "priority": _number(-(2**31), 2**31 - 1),
    "match": _match,
    "type": _one_of("HTTP", "NETWORK"),
    "plugin-config": _config,
    "plugin-name": _text,
    "root-id": _text,
    "fail-strategy": _one_of(*FAIL_STRATEGIES),
    "vm-env": _env,
    "pull-policy": _one_of("IfNotPresent", "Always"),
    "pull-secret": _subdomain,
    "ca": _ca,
    "vm-id": _text,
    "vm-config": _config,
    "allow-precompiled": _flag,
    "nack-on-code-cache-miss": _flag,
    "allow-on-headers-stop-iteration": _flag,
    "reload-backoff": _duration,
    "runtime": _one_of("v8", "wamr", "wasmtime"),
    "capability": _capability,
    "local": _path,
    "cluster": _text,
    "timeout": _duration,
    "retries": _number(0, 2**31 - 1),
}
