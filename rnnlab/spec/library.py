"""Finding an experiment file: a built-in name, or a path."""

from pathlib import Path

from rnnlab.errors import SpecError
from rnnlab.spec.experiment import Experiment, load_experiment
from rnnlab.spec.scale import scaled

_PACKAGE = Path(__file__).resolve().parent.parent


def library_dir() -> Path:
    """The folder of the built-in experiment files: inside the wheel, or beside the package in a checkout."""
    inside = _PACKAGE / "experiments"
    return inside if inside.is_dir() else _PACKAGE.parent / "experiments"


def built_in_names() -> list[str]:
    """Names of the built-in experiments."""
    return sorted(path.stem for path in library_dir().glob("*.toml"))


def find_experiment(name_or_path: str, scale: str | None = None) -> Experiment:
    """The experiment called NAME, or in the file FILE.toml, in its own size or at one of its scales.

    Raises SpecError if there is none or if it is not valid.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if name_or_path not in built_in_names():
            raise SpecError(
                f"no experiment called {name_or_path!r}: built in are {', '.join(built_in_names())}; "
                "a file of your own is named with its ending, for example my.toml"
            )
        path = library_dir() / f"{name_or_path}.toml"
    experiment = load_experiment(path)
    return experiment if scale is None else scaled(experiment, scale)
