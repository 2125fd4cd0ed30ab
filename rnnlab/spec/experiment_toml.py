"""A single run config as an experiment file of its own."""

from collections.abc import Mapping

from rnnlab.spec.code import CodeFile, hash_of
from rnnlab.spec.run_config import RunConfig
from rnnlab.spec.toml_format import to_toml


def experiment_toml(config: RunConfig, name: str, title: str, code: Mapping[str, CodeFile] | None = None) -> str:
    """An experiment file whose grid is this one run: `rnnlab init` of the file gives the same config hash.

    code: files with own cells, by hash. Only the file of the run's cell is written.
    """
    lines = [
        f"name = {to_toml(name)}",
        f"title = {to_toml(title)}",
        f"corpus = {{ name = {to_toml(config.corpus.name)}, sha256 = {to_toml(config.corpus.sha256)} }}",
    ]
    for table in ("tokenizer", "split", "evaluation"):
        settings = getattr(config, table).model_dump(exclude_none=True)
        entries = ", ".join(f"{key} = {to_toml(value)}" for key, value in settings.items())
        lines.append(f"{table} = {{ {entries} }}")
    for heading, settings in (("model", config.model), ("training", config.training)):
        lines += ["", f"[{heading}]", *(f"{key} = {to_toml(value)}" for key, value in settings.model_dump().items())]
    lines += ["", "[grid]", f"seed = [{config.seed}]"]
    for sha256, file in (code or {}).items():
        if sha256 == hash_of(config.model.cell):
            lines += ["", f"[code.{sha256}]", f"file = {to_toml(file.file)}", f"source = {to_toml(file.source)}"]
    return "\n".join([*lines, ""])
