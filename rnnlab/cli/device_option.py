"""The device that a user names. A module of its own: nothing that knows the job table may know the training as well."""

import os

from rnnlab.configuration import SETTINGS
from rnnlab.errors import UsageError


def check_device(name: str) -> None:
    """Raises UsageError if there is no such device here, before anything is written.

    It names the variable where that is what gave the name.
    """
    from rnnlab.devices import find_device

    variable = SETTINGS["device"].variable
    try:
        find_device(name)
    except UsageError as error:
        if os.environ.get(variable) != name:
            raise
        raise UsageError(str(error).replace(f"--device {name}", f"{variable} = {name}", 1)) from error
