"""Output on a terminal and elsewhere: escape codes, the watch view, Ctrl-C."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.support.commands import Cli

COLOR = re.compile(r"\x1b\[[0-9;]*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[0-9;]*m")


def test_no_escape_codes_off_a_terminal(with_results: Cli) -> None:
    for command in (["--help"], ["init", "--help"], ["init", "small.toml"], ["status"], ["best"], ["data", "list"]):
        outcome = with_results(*command)
        assert outcome.code == 0
        assert "\x1b" not in outcome.out + outcome.err
    outcome = with_results("init", "--bogus")
    assert outcome.code == 2
    assert "\x1b" not in outcome.out + outcome.err


@pytest.mark.parametrize("settings", [{}, {"NO_COLOR": "1"}], ids=["colored", "plain"])
def test_watching_on_a_terminal(with_results: Cli, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> None:
    """It fills the other screen of the terminal, and leaves it when it is interrupted."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("COLUMNS")
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-m", "rnnlab", "status", "--watch"],
        cwd=with_results.folder,
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TERM": "xterm-256color", **settings},
    )
    os.close(terminal)
    written = b""
    while b"Ctrl-C closes this view" not in written:
        written += os.read(controller, 65536)
    child.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(controller, 65536):
            written += chunk
    _, errors = child.communicate(timeout=60)
    os.close(controller)
    shown = written.decode()
    assert (child.returncode, errors) == (130, "rnnlab: interrupted\n")
    assert "next: rnnlab analyze small" in shown
    assert "\x1b[?1049h" in shown
    assert shown.rindex("\x1b[?1049l") > shown.index("Ctrl-C")
    assert bool(COLOR.search(shown)) is not bool(settings)


def test_watching_off_a_terminal(with_results: Cli) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "rnnlab", "status", "--watch"],
        cwd=with_results.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(4)]
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=60)
    assert "".join(lines).splitlines() == with_results("status").out.splitlines()
    assert (child.returncode, errors) == (130, "rnnlab: interrupted\n")
    assert "\x1b" not in out


def test_ctrl_c_that_was_ignored_from_the_start_stays_so(with_results: Cli) -> None:
    """As of `rnnlab status --watch &` in a script: the Ctrl-C is meant for others."""
    child = subprocess.Popen(
        ["sh", "-c", """trap '' INT; exec "$0" -m rnnlab status --watch""", sys.executable],
        cwd=with_results.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    first = [child.stdout.readline() for _ in range(4)]
    child.send_signal(signal.SIGINT)
    later = [child.stdout.readline() for _ in range(12)]
    child.terminate()
    _, errors = child.communicate(timeout=60)
    assert later.count(first[0]) > 1
    assert (child.returncode, errors) == (-signal.SIGTERM, "")


def _on_a_terminal(arguments: list[str], folder: Path, **settings: str) -> str:
    """What the command writes where stdout and stderr are a terminal."""
    controller, terminal = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "rnnlab", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", **settings},
    )
    os.close(terminal)
    written = b""
    while True:
        try:
            chunk = os.read(controller, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        written += chunk
    os.close(controller)
    assert child.wait(timeout=60) == 0
    return written.decode()


def test_no_color_on_a_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert COLOR.search(_on_a_terminal(["--help"], cli.folder))
    assert not COLOR.search(_on_a_terminal(["--help"], cli.folder, NO_COLOR="1"))
