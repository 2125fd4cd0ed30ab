"""Cohort sizes that were measured on this machine, in a file of the data folder.

The file is one JSON object: where it was measured (device, versions) -> group key -> cohort size. Any number of
processes can replace it atomically; if two write at the same time, one size is lost and measured again.
"""

import json
import platform
from contextlib import suppress
from pathlib import Path

import torch

from rnnlab.data.cache import data_dir
from rnnlab.devices import usable_cores
from rnnlab.files import atomic_write_text
from rnnlab.kernels.build import kernels_on
from rnnlab.version import __version__


def default_path() -> Path:
    """The file of the sizes. Raises CorpusError if RNNLAB_DATA is not a folder."""
    return data_dir() / "cohort-sizes.json"


class MeasuredSizes:
    """The sizes measured on one device. A file that is missing, damaged or of another format has none."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self._path = path
        self._where = f"{_description(device)}; torch {torch.__version__}; rnnlab {__version__}"

    def get(self, group_key: str) -> int | None:
        """The size for this group; None if it was not measured."""
        return self._read().get(self._where, {}).get(group_key)

    def keep(self, group_key: str, size: int) -> None:
        """Store a size. If the folder cannot be written, the size is lost and will be measured again."""
        sizes = self._read()
        sizes.setdefault(self._where, {})[group_key] = size
        with suppress(OSError):
            atomic_write_text(self._path, json.dumps(sizes, indent=1, sort_keys=True) + "\n")

    def _read(self) -> dict[str, dict[str, int]]:
        """The sizes in the file; entries that are not sizes are ignored."""
        try:
            document = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(document, dict):
            return {}
        return {
            where: {key: size for key, size in sizes.items() if type(size) is int and size >= 1}
            for where, sizes in document.items()
            if isinstance(sizes, dict)
        }


def _description(device: torch.device) -> str:
    """The properties that decide how fast the device is."""
    if device.type == "cpu":
        capability = torch.backends.cpu.get_cpu_capability()
        return f"{platform.machine()} {capability}, {usable_cores()} cores, {kernels_on(device)} kernels"
    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name}, {properties.total_memory // 2**20} MiB"
