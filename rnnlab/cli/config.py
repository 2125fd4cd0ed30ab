"""`rnnlab config`: the settings of this working directory and their sources.

Settings from `rnnlab.toml` are copied to environment variables that are not set yet, so that worker processes inherit
them, and an option reads only its flag and its environment variable.
"""

import os

import typer

from rnnlab.configuration import CONFIG_FILE, SETTINGS, settings_of_file

_from_file: set[str] = set()

config_app = typer.Typer(help="Show the settings and their sources.", no_args_is_help=True)


def apply_config_file() -> None:
    """Set environment variables from `rnnlab.toml` of the working directory, unless they are already set.

    Raises UsageError, in one line, for an invalid file.
    """
    for name, value in settings_of_file().items():
        if SETTINGS[name].variable not in os.environ:
            os.environ[SETTINGS[name].variable] = value
            _from_file.add(name)


@config_app.callback()
def _group() -> None:
    pass


@config_app.command("show")
def show() -> None:
    """Print each setting, its value and its source: the environment, rnnlab.toml or the default."""
    for setting in SETTINGS.values():
        value = os.environ.get(setting.variable)
        if value is None:
            source, value = "default", setting.default
        else:
            source = str(CONFIG_FILE) if setting.name in _from_file else setting.variable
        print(f"{setting.name:<8} {value:<32} {source:<16} {setting.meaning}".rstrip())
