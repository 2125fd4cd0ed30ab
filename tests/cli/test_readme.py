"""What the README shows is what happens."""

import re

from tests.support.commands import Cli
from tests.support.pages import rnnlab_calls
from tests.support.paths import ROOT

README = ROOT / "README.md"
OWN = "mine.toml"


def test_the_commands_of_the_readme_run(cli: Cli) -> None:
    """On its own small experiment; but for a download, names left open, and `demo`, which CI runs."""
    blocks = re.findall(r"^```toml\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    cli.file(OWN, next(block for block in blocks if f"# {OWN}" in block))
    cli.file("notes.txt", "The quick brown fox jumps over the lazy dog. " * 200)
    run = []
    for call in rnnlab_calls(README):
        if "NAME" in call or call[0] == "demo" or call[:2] == ["data", "fetch"]:
            continue
        arguments = [OWN if word == "dynamics" else word for word in call]
        outcome = cli(*arguments)
        assert outcome.code == 0, (arguments, outcome.err)
        run.append(arguments[0])
    assert {"init", "worker", "status", "analyze", "run", "best", "sample", "eval"} <= set(run)
    assert "100.0%" in cli("status").out
    assert (cli.folder / "results" / "mine" / "report.md").is_file()
    assert list((cli.folder / "plots" / "mine").glob("*.png"))
