"""The table of a reproduction, in Markdown: published and measured numbers side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnlab.analysis.words.markdown import table
from rnnlab.spec.published_runs import PublishedRun, Reproduction


@dataclass(frozen=True)
class Measured:
    """One published run as measured here; if `seeds` is 0, nothing was measured."""

    run: PublishedRun
    seeds: int  # how many finished
    steps: int  # optimizer steps of each
    means: dict[str, float]  # over the seeds, by the name of the number
    deviations: dict[str, float]  # sample standard deviations, if there are at least two seeds
    seconds: float  # in training, all seeds together
    devices: list[str]
    commits: list[str]  # of rnnlab

    def difference(self, key: str) -> float:
        """Relative to the published value; below 0: lower than published."""
        published = self.run.reported[key]
        return (self.means[key] - published) / abs(published)


def reproduction_text(title: str, wanted: Reproduction, measured: Sequence[Measured]) -> str:
    """The whole document."""
    blocks = [
        f"# {title}: reproduction",
        f"Published: {wanted.source}",
        f"Reproduced means: the mean over the seeds is within {wanted.tolerance:.0%} of the published value. "
        f"{wanted.because}",
        _summary(wanted, measured),
        table(_HEADER, [row for one in measured for row in _rows(wanted, one)], left=2),
        *(f"- **{one.run.name}**: {one.run.note}" for one in measured if one.run.note),
        _provenance(measured),
    ]
    return "\n\n".join(blocks) + "\n"


_HEADER = ["run", "number", "published", "measured", "SD", "difference", "reproduced", "seeds", "steps"]


def _summary(wanted: Reproduction, measured: Sequence[Measured]) -> str:
    run = [one for one in measured if one.seeds]
    near = [abs(one.difference(key)) <= wanted.tolerance for one in run for key in one.run.reported]
    missing = [one.run.name for one in measured if not one.seeds]
    text = f"{sum(near)} of {len(near)} published numbers are reproduced"
    return f"{text}; not run: {', '.join(missing)}." if missing else f"{text}."


def _rows(wanted: Reproduction, one: Measured) -> list[list[str]]:
    rows = []
    for key, published in one.run.reported.items():
        head = [one.run.name, key.replace("_", " "), f"{published:g}"]
        if not one.seeds:
            rows.append([*head, "not run", "", "", "", "0", f"{one.steps:,}"])
            continue
        difference = one.difference(key)
        deviation = f"{one.deviations[key]:.3f}" if key in one.deviations else "–"
        verdict = "yes" if abs(difference) <= wanted.tolerance else "no"
        told = [f"{one.means[key]:.3f}", deviation, f"{difference:+.1%}", verdict, str(one.seeds), f"{one.steps:,}"]
        rows.append([*head, *told])
    return rows


def _provenance(measured: Sequence[Measured]) -> str:
    devices = sorted({device for one in measured for device in one.devices})
    commits = sorted({commit for one in measured for commit in one.commits})
    hours = sum(one.seconds for one in measured) / 3600
    return f"Device: {', '.join(devices) or '–'}; {hours:.2f} h in training; rnnlab commit {', '.join(commits) or '–'}."
