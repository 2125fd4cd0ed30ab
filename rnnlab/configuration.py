"""Settings that hold for a whole working directory: the environment goes before `rnnlab.toml`, that before the default.

What a command or a call is given itself goes before all three.
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
        """Its name in the environment."""
        return f"RNNLAB_{self.name.upper()}"


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("db", "rnnlab.db in the results folder", "job database, a path or URL (--db)"),
        Setting("results", "results", "folder of checkpoints, tables and reports (--results)"),
        Setting("plots", "plots", "folder of pictures (--plots)"),
        Setting("device", "auto", "auto, cpu, cuda or cuda:N (--device)"),
        Setting("data", "the user's cache folder", "folder of texts"),
    )
}


def configured(name: str) -> str | None:
    """The value of a setting; None: neither the environment nor the file has one, and the default holds.

    Raises UsageError, in one line, for a file that is not as it must be.
    """
    variable = SETTINGS[name].variable
    return (os.environ[variable] if variable in os.environ else settings_of_file().get(name)) or None


def settings_of_file() -> dict[str, str]:
    """What `rnnlab.toml` of the working directory says; nothing where there is none.

    Raises UsageError, in one line, for a file that is no TOML, a key that is no setting, or a value that is no text.
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
            raise UsageError(f"{CONFIG_FILE}: unknown setting {name!r}; known are {', '.join(SETTINGS)}")
        if not isinstance(value, str) or not value:
            raise UsageError(f'{CONFIG_FILE}: {name} = {value!r}, but a text is expected, for example {name} = "..."')
    return document
