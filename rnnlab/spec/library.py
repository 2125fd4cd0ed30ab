"""Finds and reads an experiment file, given a built-in name or a path."""

import tomllib
from pathlib import Path
from typing import Any

from rnnlab.errors import SpecError
from rnnlab.spec.code import embed_own_cells
from rnnlab.spec.experiment import Experiment, parse_experiment
from rnnlab.spec.scale import scaled

_PACKAGE = Path(__file__).resolve().parent.parent


def library_dir() -> Path:
    """The folder of the built-in experiment files: inside the package, or next to the package in a checkout."""
    inside = _PACKAGE / "experiments"
    return inside if inside.is_dir() else _PACKAGE.parent / "experiments"


def built_in_names() -> list[str]:
    """Names of the built-in experiments."""
    return sorted(path.stem for path in library_dir().glob("*.toml"))


def find_experiment(name_or_path: str, scale: str | None = None) -> Experiment:
    """Load the built-in experiment NAME or the file FILE.toml, in full size or at one of its scales.

    Raises SpecError if the experiment does not exist or is not valid.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if name_or_path not in built_in_names():
            raise SpecError(
                f"no experiment called {name_or_path!r}: the built-in experiments are {', '.join(built_in_names())}; "
                "give a file of your own with its extension, for example my.toml"
            )
        path = library_dir() / f"{name_or_path}.toml"
    experiment = load_experiment(path)
    return experiment if scale is None else scaled(experiment, scale)


def load_experiment(path: Path) -> Experiment:
    """Read and validate an experiment file.

    Raises SpecError, in one line, if the file cannot be read, is not TOML, or is not a valid experiment.
    """
    document = _read(path)
    if "extends" in document:
        document = _extended(_read(_base(path, document.pop("extends"))), document)
    return parse_experiment(embed_own_cells(document, path), str(path))


def _base(path: Path, name: Any) -> Path:
    """The file that the file at `path` extends: one in the same folder, otherwise a built-in one."""
    file_name = name if str(name).endswith(".toml") else f"{name}.toml"
    places = [folder / file_name for folder in (path.parent, library_dir())]
    for place in places:
        if place.is_file():
            return place
    raise SpecError(
        f"{path} extends {places[0]}, which does not exist: give the name of a file in the same folder, or of a "
        f"built-in experiment ({', '.join(built_in_names())})"
    )


def _extended(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The base with some keys changed: tables are merged, all other values are replaced."""
    merged = dict(base)
    for key, new in changes.items():
        old = base.get(key)
        merged[key] = _extended(old, new) if isinstance(old, dict) and isinstance(new, dict) else new
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"experiment file {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not a TOML file: {error}") from error
    except RecursionError as error:
        raise SpecError(f"{path} is not an experiment file: it is nested too deeply") from error
