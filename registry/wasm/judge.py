"""What Envoy makes of a module, by release: all that can be decided without running it."""

from __future__ import annotations

from registry.verdict import Problem
from registry.wasm import abi
from registry.wasm.module import Buffer, Module


def judge(module: Module, data: Buffer) -> tuple[Problem, ...]:
    """Why Envoys would not load the module whose bytes are `data`, in the order of their own checks.

    A problem that only some releases have names them (`Problem.envoys`); empty when all load it.
    """
    del data
    return abi.judge(module)
