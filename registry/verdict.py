"""The vocabulary of judging: a problem that its reader can act on, and what a consumer makes of an image."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

PLACEHOLDER = "HOST/REPO:TAG"
"""What a fix calls the image, where its own name is not known or too long."""
SAVED_IMAGE = "docker save IMAGE | sidecargo push -"
"""How a fix calls an image that lies in docker's own store."""
MODULE_FILE = "push main.wasm"
"""How a fix calls a module that lies in a file."""
SHOWN = 200
"""Characters of a refusal that `docker push` shows for sure."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why something does not load.

    `code` is a stable name in kebab-case; `message` says what is wrong in the words that the client
    would use; `fix` says what to type. Both together are meant to fit in SHOWN characters. `envoys` are
    the Envoy releases that have the problem, as `1.38`; with none named all of them have it.
    """

    code: str
    message: str
    fix: str
    envoys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".rstrip()

    def concerns(self, envoys: Collection[str]) -> bool:
        """Whether any of these Envoy releases has the problem; with none asked for, whether any has."""
        return not self.envoys or not envoys or not set(self.envoys).isdisjoint(envoys)

    def about(self, reference: str = PLACEHOLDER, target: str = "", most: int = 0) -> Problem:
        """The problem with a fix that can be typed, where both then have at most `most` characters (0: any).

        `reference` is what the fix calls the image, `target` what is to be mended, as it was typed.
        """
        fix = self.fix
        if target:
            fix = fix.replace(SAVED_IMAGE, f"sidecargo push {target}").replace(MODULE_FILE, f"push {target}")
        named = replace(self, fix=fix.replace(PLACEHOLDER, reference))
        return named if not most or len(str(named)) <= most else self

    def to_json(self) -> dict[str, Any]:
        """The problem as a JSON document; `envoys` is there where only some releases have it."""
        said: dict[str, Any] = {"code": self.code, "message": self.message, "fix": self.fix}
        return {**said, "envoys": list(self.envoys)} if self.envoys else said

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Problem:
        """What `to_json` wrote; raises KeyError or TypeError for anything else."""
        return cls(said["code"], said["message"], said["fix"], tuple(said.get("envoys", ())))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one consumer makes of an image: it loads when there is no problem."""

    consumer: str
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the consumer loads it, whatever its Envoy."""
        return not self.problems

    def among(self, envoys: Collection[str]) -> Verdict:
        """The verdict of a consumer whose Envoys are of these releases (none: of any)."""
        return replace(self, problems=tuple(problem for problem in self.problems if problem.concerns(envoys)))

    def to_json(self) -> dict[str, Any]:
        """The verdict as a JSON document."""
        return {"consumer": self.consumer, "problems": [problem.to_json() for problem in self.problems]}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Verdict:
        """What `to_json` wrote; raises KeyError or TypeError for anything else."""
        return cls(str(said["consumer"]), tuple(map(Problem.from_json, said["problems"])))
