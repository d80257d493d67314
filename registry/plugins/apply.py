"""`/plugins/REPO:TAG/KIND.yaml`: the plugin's resource for each consumer, ready to apply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.responses import Response

from registry.api.call import Call
from registry.apply import reading, resources
from registry.apply.options import KINDS, OptionInvalid, Options
from registry.apply.pin import Pin
from registry.plugins import find, urls
from registry.publish.plugins import Plugin
from registry.web import pages
from storage.digest import Digest
from storage.errors import ManifestInvalid, NameUnknown, ParameterInvalid
from storage.manifest import Descriptor

_HEADERS = {
    # What it says may depend on the Host that was asked for.
    "Cache-Control": "no-cache",
}
_SECRET_HEADERS = {**_HEADERS, "Cache-Control": "private, no-store"}


def of(kind: str) -> Callable[[Call], Awaitable[Response]]:
    """The resource that answers with YAML of a kind (of `apply.options.KINDS`).

    Its parameters are the options of `sidecargo yaml`. It raises ManifestInvalid for a plugin that does
    not load where the YAML is for, and ParameterInvalid for an option that is wrong; where what is for some
    only is to be downloaded, as `urls.given` does.
    """

    async def get(call: Call) -> Response:
        options = _options(call, kind)
        stored, _, plugin = await find.plugin(call)
        pin = _pin(call, *_pinned(call, kind, plugin, options))
        headers = _HEADERS
        if resources.is_downloaded(kind, options):
            await _must_serve(call, stored, plugin)
            url = await urls.given(call, pin.image)
            if url is not None:
                pin = replace(pin, capability=urls.written(call, pin.image, url))
                headers = _SECRET_HEADERS
        said = resources.render(kind, pin, options)
        return Response(said, headers=headers, media_type="application/yaml")

    return get


async def unknown(call: Call) -> Response:
    """Any other file of a plugin; raises NameUnknown with what there is."""
    files = ", ".join(f"{kind}.yaml" for kind in KINDS)
    raise NameUnknown(
        f"a plugin has no {call.request.path_params['file'][:80]!r}.", fix=f"There are plugin.wasm, {files}."
    )


def _options(call: Call, kind: str) -> Options:
    asked: dict[str, list[str]] = {}
    for name, text in call.request.query_params.multi_items():
        asked.setdefault(name, []).append(text)
    try:
        return reading.read(kind, asked)
    except OptionInvalid as error:
        raise ParameterInvalid(
            f"the parameter {error.option[:80]!r} {error.message}", fix=error.fix
        ) from None


def _pinned(call: Call, kind: str, plugin: Plugin, options: Options) -> tuple[Digest, Digest]:
    """Image and module, if it loads in the consumer and in the Envoys that the repository's policy names."""
    consumer = resources.consumer(kind, options)
    envoys = call.services.publisher.policy_of(call.repository.name).envoys
    problems = [
        problem
        for verdict in plugin.verdicts
        if verdict.consumer == consumer
        for problem in verdict.among(envoys).problems
    ]
    if problems or plugin.image is None or plugin.module is None:
        problems = [problem.about(find.named(call)) for problem in problems or plugin.findings.problems]
        first = problems[0]
        raise ManifestInvalid(
            f"what is applied would be an outage: {first.message}",
            fix=first.fix,
            detail=[problem.to_json() for problem in problems],
        )
    if plugin.image.algorithm != "sha256":
        raise ManifestInvalid(
            f"the image is named by {plugin.image.algorithm}; agents know sha256 only.",
            fix="Push it by tag or by its sha256 digest.",
        )
    return plugin.image, plugin.module


async def _must_serve(call: Call, stored: Descriptor, plugin: Plugin) -> None:
    if not await call.services.examiner.has_module(call.repository, stored, plugin):
        raise find.missing(call, stored)


def _pin(call: Call, image: Digest, module: Digest) -> Pin:
    scheme, _, host = pages.known_url(call).partition("://")
    if not host:  # better no resource than one for another place
        raise ParameterInvalid(
            "the request has no Host that could be written down.", fix="Set server.public_url."
        )
    reference = call.reference()
    tag = "" if isinstance(reference, Digest) else reference
    return Pin(host, call.repository.name, image, module, scheme, tag)
