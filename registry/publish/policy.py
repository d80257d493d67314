"""Admission: what findings mean for a push (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from registry.publish.inspect import CONSUMERS, Findings
from registry.releases import NEWEST
from registry.verdict import PLACEHOLDER, SHOWN, Problem
from storage.digest import Digest
from storage.errors import ManifestInvalid

Mode = Literal["enforce", "warn", "off"]

_SHA512 = Problem(
    "sha512",
    "istio-agent and Envoy Gateway know sha256 digests only.",
    "Push the image by tag or by its sha256 digest.",
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for one repository: who must load its images, with Envoys of which releases.

    `sparse` lets a manifest name content that is not there; `immutable` are patterns of tags that never
    name something else.
    """

    mode: Mode = "enforce"
    sparse: bool = False
    consumers: tuple[str, ...] = CONSUMERS
    envoys: tuple[str, ...] = (NEWEST,)
    immutable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a manifest loads wherever the policy asks, what is wrong, and whether to warn who pushed it."""

    loads: bool
    problems: tuple[Problem, ...] = ()
    is_warning: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to tell who pushed it, a text a problem."""
        return tuple(str(problem) for problem in self.problems) if self.is_warning else ()


def decide(policy: Policy, findings: Findings, digest: Digest, reference: str = PLACEHOLDER) -> Decision:
    """Whether a manifest is taken; raises ManifestInvalid when the policy enforces and it does not load.

    `reference` is what the fixes call the image, `HOST/REPO:TAG`.
    """
    problems = list(problems_for(policy, findings))
    if digest.algorithm != "sha256":
        problems.append(_SHA512)
    if not problems:
        return Decision(loads=True)
    problems = [problem.about(reference, most=SHOWN) for problem in problems]
    if policy.mode == "enforce":
        raise ManifestInvalid(
            problems[0].message,
            fix=problems[0].fix,
            detail=[problem.to_json() for problem in problems],
        )
    return Decision(loads=False, problems=tuple(problems), is_warning=policy.mode == "warn")


def problems_for(policy: Policy, findings: Findings) -> tuple[Problem, ...]:
    """The problems that the policy asks about, each once, in the order in which the consumers met them."""
    asked = (
        verdict.among(policy.envoys) for verdict in findings.verdicts if verdict.consumer in policy.consumers
    )
    return tuple(dict.fromkeys(problem for verdict in asked for problem in verdict.problems))
