"""Settings of a working directory. Precedence: the environment, `rnnlab.toml`, the default.

Options of a command and arguments of a function take precedence over all three.
"""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

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
        """The name of its environment variable."""
        return f"RNNLAB_{self.name.upper()}"


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("db", "rnnlab.db in the results folder", "job database, a path or URL (--db)"),
        Setting("results", "results", "folder for checkpoints, tables and reports (--results)"),
        Setting("plots", "plots", "folder for plots (--plots)"),
        Setting("device", "auto", "auto, cpu, cuda or cuda:N (--device)"),
        Setting("data", "the user's cache folder", "folder for corpora"),
    )
}


def configured(name: str) -> str | None:
    """The value of a setting from the environment or the file; None if neither has one, so that the default applies.

    Raises UsageError, in one line, for an invalid file.
    """
    variable = SETTINGS[name].variable
    return (os.environ[variable] if variable in os.environ else settings_of_file().get(name)) or None


def settings_of_file() -> dict[str, str]:
    """The settings in `rnnlab.toml` of the working directory; empty if there is no such file.

    Raises UsageError, in one line, for a file that is not TOML, an unknown key, or a value that is not a string.
    """
    if not CONFIG_FILE.is_file():
        return {}
    try:
        document = tomllib.loads(CONFIG_FILE.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{CONFIG_FILE} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{CONFIG_FILE} is not a TOML file: {error}") from error
    for name, value in document.items():
        if name not in SETTINGS:
            raise UsageError(f"{CONFIG_FILE}: unknown setting {name!r}: known settings are {', '.join(SETTINGS)}")
        if not isinstance(value, str) or not value:
            raise UsageError(f'{CONFIG_FILE}: {name} = {value!r}: must be a string, for example {name} = "..."')
    return document
