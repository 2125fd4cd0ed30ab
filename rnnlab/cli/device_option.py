"""The device chosen by the user. A separate module, because only the worker may import both queue and training."""

import os

from rnnlab.configuration import SETTINGS
from rnnlab.errors import UsageError


def check_device(name: str) -> None:
    """Raises UsageError if the device does not exist, before anything is written.

    The message names the environment variable if the name comes from there.
    """
    from rnnlab.devices import find_device

    variable = SETTINGS["device"].variable
    try:
        find_device(name)
    except UsageError as error:
        if os.environ.get(variable) != name:
            raise
        raise UsageError(str(error).replace(f"--device {name}", f"{variable} = {name}", 1)) from error
