"""Where the files of the tests are.

Public texts are not part of the project: a test that needs one is skipped without it.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]  # of the checkout
REFERENCE = ROOT / "tests" / "data" / "reference"  # the published runs
_PUBLIC_TEXTS = ROOT.parent / "shared" / "data"


def public_text(file_name: str) -> Path:
    """A public text beside the checkout; skips the test where it is missing."""
    path = _PUBLIC_TEXTS / file_name
    if not path.is_file():
        pytest.skip(f"needs the public text ../shared/data/{file_name} beside the checkout")
    return path
