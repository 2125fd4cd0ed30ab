"""A single run config as an experiment file of its own."""

from rnnlab.spec.run_config import RunConfig
from rnnlab.spec.settings import Scalar


def experiment_toml(config: RunConfig, name: str, title: str) -> str:
    """An experiment file whose grid is this one run: `rnnlab init` of it gives the same config hash."""
    lines = [
        f"name = {_value(name)}",
        f"title = {_value(title)}",
        f"corpus = {{ name = {_value(config.corpus.name)}, sha256 = {_value(config.corpus.sha256)} }}",
    ]
    for table in ("tokenizer", "split", "evaluation"):
        entries = ", ".join(f"{key} = {_value(value)}" for key, value in getattr(config, table).model_dump().items())
        lines.append(f"{table} = {{ {entries} }}")
    for heading, settings in (("model", config.model), ("training", config.training)):
        lines += ["", f"[{heading}]", *(f"{key} = {_value(value)}" for key, value in settings.model_dump().items())]
    return "\n".join([*lines, "", "[grid]", f"seed = [{config.seed}]", ""])


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
