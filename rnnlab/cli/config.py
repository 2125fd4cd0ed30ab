"""`rnnlab config`: settings that hold for every command here, and where each of them comes from.

What `rnnlab.toml` says is put into the environment, unless it is there already: worker processes inherit it, and every
option has one place that it reads besides its flag.
"""

import os

import typer

from rnnlab.configuration import CONFIG_FILE, SETTINGS, settings_of_file

_from_file: set[str] = set()

config_app = typer.Typer(help="Settings: what holds here, and where it comes from.", no_args_is_help=True)


def apply_config_file() -> None:
    """Let `rnnlab.toml` of the working directory speak where the environment does not.

    Raises UsageError, in one line, for a file that is not as it must be.
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
    """Print each setting, its value, and where it comes from: the environment, rnnlab.toml or the default."""
    for setting in SETTINGS.values():
        value = os.environ.get(setting.variable)
        if value is None:
            source, value = "default", setting.default
        else:
            source = str(CONFIG_FILE) if setting.name in _from_file else setting.variable
        print(f"{setting.name:<8} {value:<32} {source:<16} {setting.meaning}".rstrip())
