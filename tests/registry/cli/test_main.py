from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import registry
from registry.cli.main import cli
from tests.registry.commands import Runner


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    found: list[tuple[tuple[str, ...], click.Command]] = [(path, group)]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = (*path, name)
        found += _commands(command, inner) if isinstance(command, click.Group) else [(inner, command)]
    return found


COMMANDS = _commands(cli)


@pytest.mark.parametrize(
    "words", [pytest.param(words, id=" ".join(words) or "sidecargo") for words, _ in COMMANDS]
)
def test_every_command_has_help_with_an_example_of_itself(words: tuple[str, ...], sidecargo: Runner) -> None:
    ran = sidecargo(*words, "--help")
    assert (ran.code, ran.err) == (0, "")
    _, _, example = ran.out.partition("Example:")
    assert " ".join(("sidecargo", *words)) in example
    assert all(
        option.help
        for _, command in COMMANDS
        for option in command.params
        if isinstance(option, click.Option)
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serve", "--prot", "1"], "error: No such option '--prot'. "),
        (["serve", "--port", "many"], "error: Invalid value for '--port': 'many' is not a valid integer. "),
        (["nothing"], "error: No such command 'nothing'. See sidecargo --help."),
        (["push", "x.wasm"], "error: Missing argument 'HOST/REPO:TAG'. See sidecargo push --help."),
        (
            ["check", "-", "--consumer", "nginx"],
            "error: Invalid value for '--consumer': 'nginx' is not one of",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(words: list[str], said: str, sidecargo: Runner) -> None:
    ran = sidecargo(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(said)
    assert ran.err.count("\n") == 1


def test_without_a_command_there_is_help(sidecargo: Runner) -> None:
    ran = sidecargo()
    assert ran.code == 2
    assert "Commands:" in ran.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_an_answer_that_cannot_be_written(plugin: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "registry", "check", "--json", plugin],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (ran.returncode, ran.stderr) == (2, "error: No space left on device.\n")


def test_a_reader_that_left_is_no_error(plugin: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "registry", "check", plugin],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (1, "")


def test_python_m_registry_is_the_command() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "registry", "--version"], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, f"sidecargo, version {registry.__version__}")
