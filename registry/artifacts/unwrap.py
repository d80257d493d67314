"""The module in any artifact: in whichever layer and file it lies, whatever their types and names say."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from registry.artifacts.about import CONFIG_TYPES, MAX_CONFIG, About, read_about
from registry.artifacts.children import AGENTS, Child, children
from registry.artifacts.layers import Candidate, Layers, TooMany, extract
from registry.artifacts.packed import Budget, Damaged, OverBudget
from registry.artifacts.sources import CHUNK, Image
from registry.artifacts.targets import Bare
from registry.console.failure import Failure, Refusal
from registry.console.terminal import printable
from registry.consumers.istio import LIMIT
from registry.consumers.tar import TarError
from registry.publish.inspect import Source
from registry.wasm.looks import header_problem
from storage.manifest import Descriptor, Manifest

MOST = 2 << 30
"""How many bytes of an artifact are fetched at most, and how many unpacked."""

_TITLE = "org.opencontainers.image.title"
_BY_HAND = "Push the .wasm file itself: sidecargo push main.wasm HOST/REPO:TAG"
_SHOWN = 5
_HEAD = 300  # what it looks like is seen in these


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A module at its beginning; `where` says what it was in, `about` what that said about it."""

    module: BinaryIO
    size: int
    where: str
    about: About


@contextmanager
def unwrapped(target: Bare | Image, *, file: str = "", platform: str = "") -> Iterator[Unwrapped]:
    """Take the module out of an artifact; its file lasts as long as the context.

    `file` and `platform` choose where several could be meant. Raises Refusal when there is none, or
    none that is clearly meant; Failure for parts that cannot be read.
    """
    with ExitStack() as stack:
        budget = Budget(MOST)
        if isinstance(target, Bare):
            part = _Part(target.name, stack, budget)
            part.add_file(target)
            if part.is_empty and (problem := header_problem(target.data[:_HEAD], len(target.data))):
                raise Refusal(f"{target.name}: {problem.message}", problem.fix)
            yield part.taken(file)
            return
        yield _from_image(target, file, platform, budget, stack)


def _from_image(image: Image, file: str, platform: str, budget: Budget, stack: ExitStack) -> Unwrapped:
    found = children(image.manifest, lambda entry: _manifest(image.source, entry), image.name)
    if platform:
        found = tuple(one for one in found if one.platform == platform)
    if not found:
        raise Refusal(f"{image.name} has no image{f' for {platform}' if platform else ''}.", _BY_HAND)
    packed = Budget(MOST)
    taken: list[tuple[Child, Unwrapped]] = []
    refusals: list[Refusal] = []
    for child in found:
        try:
            part = _Part(image.name, stack, budget)
            part.add_image(child, image.source, packed, file)
            taken.append((child, part.taken(file, of=child.platform if len(found) > 1 else "")))
        except Refusal as refusal:
            refusals.append(refusal)
        if taken and child.platform == AGENTS:
            break
    if not taken:
        raise refusals[0]
    return _same(image.name, taken)


def _same(name: str, taken: list[tuple[Child, Unwrapped]]) -> Unwrapped:
    """The one module that several children hold; Refusal when they differ."""
    by_hash = {_sha256(one.module): (child, one) for child, one in reversed(taken)}
    if len(by_hash) > 1:
        shown = ", ".join(
            f"{child.platform} {child.descriptor.digest if child.descriptor else ''}".rstrip()
            for child, _ in reversed(by_hash.values())
        )
        first = taken[0][0].platform
        raise Refusal(
            f"{name} holds different modules for its platforms: {printable(shown, 400)}.",
            f"Choose one by its digest, or by its platform as in --platform {first}.",
        )
    return taken[0][1]


@dataclass(slots=True)
class _Part:
    """One artifact that is being looked through; `name` is how errors call it."""

    name: str
    stack: ExitStack
    budget: Budget
    of: int = 0
    about: About = field(default_factory=About)
    layers: Layers = field(default_factory=Layers)
    files: dict[int, BinaryIO] = field(default_factory=dict)
    packings: dict[int, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether no file was found in it."""
        return not self.layers.candidates and not self.layers.others

    def add_file(self, bare: Bare) -> None:
        """Look through a file that is no image: a tar, or the module itself."""
        file = io.BytesIO(bare.data) if isinstance(bare.data, bytes) else bare.data
        self._look(0, cast(BinaryIO, file), bare.name)

    def add_image(self, child: Child, source: Source, packed: Budget, wanted: str) -> None:
        """Look through an image's layers, from the top until the choice is clear."""
        layers = child.manifest.layers
        self.of = len(layers)
        for number in range(len(layers), 0, -1):
            entry = layers[number - 1]
            file = self.stack.enter_context(_temporary())
            try:
                packed.take(entry.size)
                asyncio.run(_fetch(source, entry, file, packed))
            except OverBudget:
                raise self._too_large() from None
            self._look(number, file, entry.annotations.get(_TITLE, ""))
            if number not in self.files:
                file.close()
            if self.layers.choice(wanted) if wanted else self.layers.decided:
                break
        self.about = read_about(child.manifest, _config(child.manifest, source))

    def taken(self, wanted: str, of: str = "") -> Unwrapped:
        """The module, extracted; Refusal when it is not clear which, or when there is none."""
        chosen = self.layers.choice(wanted)
        if len(chosen) != 1:
            raise self._unclear(chosen, wanted)
        candidate = chosen[0]
        name = printable(candidate.name, 100)
        if candidate.size > LIMIT:
            raise Refusal(
                f"{self.name}: {name} has {candidate.size} bytes; consumers take {LIMIT >> 20} MiB at most.",
                "Build it smaller: strip names and debug information.",
            )
        module = self.stack.enter_context(_temporary())
        with self._readable(candidate.layer):
            # The walk to it was paid for when its layer was looked through.
            extract(self.files[candidate.layer], candidate, module, Budget(MOST))
        module.seek(0)
        return Unwrapped(module, candidate.size, self._where(candidate, name, of), self.about)

    def _look(self, number: int, file: BinaryIO, title: str) -> None:
        with self._readable(number):
            before = len(self.layers.candidates)
            self.packings[number] = self.layers.add(number, file, self.budget, title=title)
        if len(self.layers.candidates) > before:
            self.files[number] = file

    @contextmanager
    def _readable(self, number: int) -> Iterator[None]:
        try:
            yield
        except OverBudget:
            raise self._too_large() from None
        except TooMany as error:
            raise Refusal(f"{self.name} holds more than {error}.", _BY_HAND) from None
        except (Damaged, TarError) as error:
            where = f"layer {number} of {self.of}" if self.of else "it"
            raise Refusal(f"{self.name}: {where} cannot be read: {error}.", "Build it again.") from None

    def _too_large(self) -> Refusal:
        return Refusal(f"{self.name} holds more than {MOST >> 30} GiB.", _BY_HAND)

    def _where(self, candidate: Candidate, name: str, of: str) -> str:
        packing = self.packings[candidate.layer]
        how = f" ({packing})" if packing else ""
        if not self.of:
            return f"{name}{how}"
        return f"{name} from layer {candidate.layer} of {self.of}{how}{f' of {of}' if of else ''}"

    def _unclear(self, chosen: tuple[Candidate, ...], wanted: str) -> Refusal:
        names = ", ".join(printable(one.name, 100) for one in chosen[:_SHOWN])
        more = ", …" if len(chosen) > _SHOWN else ""
        if chosen:
            return Refusal(
                f"{self.name} holds several modules: {names}{more}.",
                f"Choose one: --file {printable(chosen[0].name, 100)}",
            )
        if wanted:
            return Refusal(f"{self.name} holds no file {wanted}.", "Give its path as in the image.")
        others = ", ".join(printable(name, 60) for name in self.layers.others)
        what = f"no Wasm module, but {others}" if others else "no file, and so no Wasm module"
        return Refusal(f"{self.name} holds {what}.", _BY_HAND)


async def _fetch(source: Source, entry: Descriptor, into: BinaryIO, packed: Budget) -> None:
    left = entry.size
    async for piece in source.blob(entry):
        left -= len(piece)
        if left < 0:
            packed.take(len(piece))
        into.write(piece)


def _manifest(source: Source, entry: Descriptor) -> bytes:
    return asyncio.run(_whole(source, entry))


async def _whole(source: Source, entry: Descriptor) -> bytes:
    return await source.manifest(entry)


def _config(manifest: Manifest, source: Source) -> bytes:
    """The config of an image that is small enough to be one, else nothing: labels are no reason to fail."""
    entry = manifest.config
    if not entry or entry.media_type not in CONFIG_TYPES or entry.size > MAX_CONFIG:
        return b""
    with _temporary() as file:
        try:
            asyncio.run(_fetch(source, entry, file, Budget(MAX_CONFIG)))
        except (Failure, OverBudget):
            return b""
        file.seek(0)
        return file.read()


def _temporary() -> BinaryIO:
    return cast(BinaryIO, tempfile.TemporaryFile())


def _sha256(file: BinaryIO) -> str:
    running = hashlib.sha256()
    while piece := file.read(CHUNK):
        running.update(piece)
    file.seek(0)
    return running.hexdigest()
