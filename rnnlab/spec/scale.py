"""An experiment at a reduced size, with the same structure."""

from typing import Any

from rnnlab.errors import SpecError
from rnnlab.spec.experiment import EVALUATION_WINDOWS, Experiment, parse_experiment
from rnnlab.spec.settings import Scalar
from rnnlab.spec.toml_format import to_toml

# The parts of an experiment file that contain settings of runs.
_PARTS = ("seed", "model", "training", "grid", "skip", "adjust", "rounds", "analysis")


def scaled(experiment: Experiment, scale: str) -> Experiment:
    """The experiment `NAME-SCALE`: each table of `[scale.SCALE]` maps old values of a setting to new ones.

    The values are replaced wherever the setting occurs (grid, rules, rounds), so the structure of the experiment is
    kept. The name "evaluation.windows" means `windows` of `[evaluation]`.
    Raises SpecError if the file has no such scale, or if the scale replaces a value that does not occur.
    """
    if scale not in experiment.scale:
        known = f"it has {', '.join(experiment.scale)}" if experiment.scale else "its file defines none, omit --scale"
        raise SpecError(f"experiment {experiment.name} has no scale {scale!r}: {known}")
    swaps = experiment.scale[scale]
    used: set[tuple[str, str]] = set()

    def swapped(name: str, value: Scalar) -> Scalar:
        old = value if isinstance(value, str) else to_toml(value)
        if old not in swaps.get(name, {}):
            return value
        used.add((name, old))
        return swaps[name][old]

    def walk(name: str, node: Any) -> Any:
        """`node` is the value of the key `name`, or an element of the list that is."""
        if isinstance(node, dict):
            return {key: walk(key, value) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(name, entry) for entry in node]
        return swapped(name, node) if isinstance(node, Scalar) else node

    document = experiment.model_dump(exclude={"scale", "reproduction"})  # published runs have the full size
    document |= {part: walk(part, document[part]) for part in _PARTS}
    document["evaluation"]["windows"] = swapped(EVALUATION_WINDOWS, experiment.evaluation.windows)
    for name, table in swaps.items():
        for old in table:
            if (name, old) not in used:
                raise SpecError(
                    f"experiment {experiment.name}: scale.{scale}.{name} replaces {old}, but {name} never has that "
                    "value: write the number in decimal form (0.001 for 1e-3), or remove the entry"
                )
    name = f"{experiment.name}-{scale}"
    return parse_experiment({**document, "name": name}, f"scale {scale} of {experiment.name}")
