"""How one value of a setting, or one number, is written. Loads no pandas: light commands use it."""

from typing import Any

import numpy as np

from rnnlab.spec.cell_settings import short_name


def is_missing(value: Any) -> bool:
    """Whether a job does not have the setting: None or NaN."""
    return value is None or value != value


def is_switch(value: Any) -> bool:
    """Whether the value is off or on."""
    return isinstance(value, bool | np.bool_)


def level_label(value: Any) -> str:
    """One value of a setting: off/on, a number without trailing zeros, none for null, text as it is.

    The name of a user's own cell is shown with the first digits of its hash.
    """
    if is_missing(value):
        return "none"
    if is_switch(value):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else short_name(value)


def rounded(value: float) -> str:
    """A number with three significant digits, large ones without an exponent: 1.67, 52, 1,480."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
