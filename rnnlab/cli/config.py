"""`rnnlab config`: settings that hold for every command here, and where each of them comes from.

A flag goes before the environment, the environment before `rnnlab.toml` in the working directory, that before the
default. What the file says is put into the environment, unless it is there already: worker processes inherit it, and
every option has one place that it reads besides its flag.
"""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

import typer

from rnnlab.errors import UsageError

CONFIG_FILE = Path("rnnlab.toml")


@dataclass(frozen=True)
class Setting:
    """One setting: `NAME = "..."` in the file, RNNLAB_NAME in the environment."""

    name: str
    default: str
    meaning: str

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"RNNLAB_{self.name.upper()}"


SETTINGS = (
    Setting("db", "rnnlab.db in the results folder", "job database, a path or URL (--db)"),
    Setting("results", "results", "folder of checkpoints, tables and reports (--results)"),
    Setting("plots", "plots", "folder of pictures (--plots)"),
    Setting("device", "auto", "auto, cpu, cuda or cuda:N (--device)"),
    Setting("data", "the user's cache folder", "folder of texts"),
)

_from_file: set[str] = set()

config_app = typer.Typer(help="Settings: what holds here, and where it comes from.", no_args_is_help=True)


def apply_config_file() -> None:
    """Let `rnnlab.toml` of the working directory speak where the environment does not.

    Raises UsageError, in one line, for a file that is no TOML, a key that is no setting, or a value that is no text.
    """
    if not CONFIG_FILE.is_file():
        return
    try:
        document = tomllib.loads(CONFIG_FILE.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{CONFIG_FILE} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{CONFIG_FILE} is not a TOML file: {error}") from error
    known = {setting.name: setting for setting in SETTINGS}
    for name, value in document.items():
        if name not in known:
            raise UsageError(f"{CONFIG_FILE}: unknown setting {name!r}; known are {', '.join(known)}")
        if not isinstance(value, str) or not value:
            raise UsageError(f'{CONFIG_FILE}: {name} = {value!r}, but a text is expected, for example {name} = "..."')
        if known[name].variable not in os.environ:
            os.environ[known[name].variable] = value
            _from_file.add(name)


@config_app.callback()
def _group() -> None:
    pass


@config_app.command("show")
def show() -> None:
    """Print each setting, its value, and where it comes from: the environment, rnnlab.toml or the default."""
    for setting in SETTINGS:
        value = os.environ.get(setting.variable)
        if value is None:
            source, value = "default", setting.default
        else:
            source = str(CONFIG_FILE) if setting.name in _from_file else setting.variable
        print(f"{setting.name:<8} {value:<32} {source:<16} {setting.meaning}".rstrip())
