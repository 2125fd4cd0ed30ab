"""The metrics that results will contain, known before training: an experiment can rank by them."""

from rnnlab.errors import SpecError
from rnnlab.spec.experiment import Experiment
from rnnlab.spec.toml_format import abbreviated, did_you_mean


def result_metrics(experiment: Experiment) -> list[str]:
    """The metrics in the results of an experiment's runs, including those that only some of the runs have.

    They follow from the regime, the windows and the split. `diverged_at_step` is excluded: only diverged runs have it.
    """
    values: dict[str, set[object]] = {}
    for use in experiment.setting_uses():
        values.setdefault(use.name, set()).update(use.values)
    parts = ["validation", "test"] if experiment.split.test else ["validation"]
    losses = list(parts)
    if "bptt" in {*experiment.setting_schema.regimes, *values.get("regime", ())}:
        losses.append("training")
        if values.get("sampling", set()) - {"random"}:
            losses.append("epoch")
        if any(values.get("held_out_share", ())) or any(values.get("held_out_next", ())):
            losses.append("held_out")
    bits = [f"{part}_bits_per_{unit}" for part in parts for unit in ("character", "byte")]
    perplexities = [f"{part}_perplexity" for part in losses if "training" in losses]
    return ["min_loss", "final_loss", *(f"{part}_loss" for part in losses), *bits, *perplexities, "parameters"]


def check_metrics(experiment: Experiment) -> None:
    """Raises SpecError, in one line, if the file ranks, selects or compares by a metric that no result will have.

    Only for experiments that are trained here: imported results may have metrics of their own.
    """
    named = {"analysis.metric": experiment.analysis.metric}
    named |= {f"round {rule.name}: select.by": rule.select.by for rule in experiment.rounds}
    if experiment.reproduction is not None:
        for run in experiment.reproduction.runs:
            named |= {f"reproduction run {run.name!r}: reported.{name}": name for name in run.reported}
    known = result_metrics(experiment)
    for where, name in named.items():
        if name not in known:
            value = "" if where.endswith(name) else f" = {abbreviated(name)}"
            raise SpecError(
                f"experiment {experiment.name}: {where}{value}: results will not have this metric: choose one of "
                f"{', '.join(known)}{did_you_mean(name, known)}"
            )
