"""Diagnoses problems of this machine and suggests remedies. Changes nothing."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rnnlab.devices import usable_cores
from rnnlab.errors import RnnlabError
from rnnlab.files import Workspace

_LOW_DISK_BYTES = 2 * 10**9


class Verdict(StrEnum):
    """The outcome of a check."""

    GOOD = "ok"
    WARNING = "warning"  # rnnlab works, but not as well as it could
    BAD = "wrong"


@dataclass(frozen=True)
class Finding:
    """The result of one check: one line of output."""

    topic: str
    verdict: Verdict
    text: str  # what was found and, unless the verdict is good, what to do


def run_checks(workspace: Workspace, database: str | Path) -> Iterator[Finding]:
    """Run every check in turn. A check that raises an exception also yields a finding."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("python", _python),
        ("torch", _torch),
        ("device", _device),
        ("kernels", _kernels),
        ("same bits", _same_bits),
        ("results folder", lambda: _folder("results folder", workspace.results_dir, "--results")),
        ("plots folder", lambda: _folder("plots folder", workspace.plots_dir, "--plots")),
        ("disk", lambda: _disk(workspace.results_dir)),
        ("database", lambda: _database(database)),
        ("corpora", _corpora),
    ]
    for topic, check in checks:
        try:
            yield check()
        except RnnlabError as error:
            yield Finding(topic, Verdict.BAD, str(error))
        except Exception as error:
            yield Finding(
                topic, Verdict.BAD, f"the check failed ({type(error).__name__}: {error}): report this as a bug"
            )


def _python() -> Finding:
    # The version need not be checked: pip does not install rnnlab for a Python that is too old.
    return Finding("python", Verdict.GOOD, f"{platform.python_version()} at {sys.executable}")


def _torch() -> Finding:
    import torch

    number = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if number < (2, 11):
        return Finding("torch", Verdict.BAD, f"{torch.__version__}: rnnlab needs 2.11 or newer")
    return Finding("torch", Verdict.GOOD, torch.__version__)


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return Finding("device", Verdict.GOOD, f"{torch.cuda.device_count()} GPU: {names}")
    cores = usable_cores()
    return Finding(
        "device", Verdict.GOOD, f"no GPU; {cores} CPU cores: use all with `rnnlab worker --processes {cores}`"
    )


def _kernels() -> Finding:
    from rnnlab.kernels.build import DISABLED, UNWRITABLE_CACHE, unavailable_reason

    reason = unavailable_reason()
    if reason is None:
        return Finding("kernels", Verdict.GOOD, "compiled for this processor")
    if reason == DISABLED:
        return Finding("kernels", Verdict.GOOD, f"{reason}: on a CPU, torch computes the training steps")
    advice = "install a C compiler (gcc or clang)"
    if reason.startswith(UNWRITABLE_CACHE):
        advice = "make it writable, or set XDG_CACHE_HOME to another cache folder"
    return Finding(
        "kernels",
        Verdict.WARNING,
        f"{reason}: on a CPU, torch computes the training steps, several times slower; {advice}",
    )


def _same_bits() -> Finding:
    """Compare a small product in batches of different sizes: the bitwise contract requires the same bits."""
    import torch

    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(9, 7, 128, generator=generator), torch.randn(9, 128, 5, generator=generator)
    whole = torch.bmm(x, weight)
    parts_agree = all(
        torch.equal(torch.bmm(x[m : m + 2].clone(), weight[m : m + 2].clone()), whole[m : m + 2]) for m in range(8)
    )
    if parts_agree:
        return Finding("same bits", Verdict.GOOD, "a model's products do not depend on the other models of its cohort")
    setting = os.environ.get("MKL_CBWR", "not set")
    return Finding(
        "same bits",
        Verdict.WARNING,
        f"products depend on the position in a cohort (MKL_CBWR={setting}): results are valid, but resumed or "
        "regrouped runs can differ in the last bits; unset MKL_CBWR, so that rnnlab can set it",
    )


def _folder(topic: str, path: Path, flag: str) -> Finding:
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Finding(topic, Verdict.BAD, f"{path} is not writable: make {existing} writable, or use {flag}")
    state = "exists" if path == existing else "will be created"
    return Finding(topic, Verdict.GOOD, f"{path} ({state})")


def _disk(path: Path) -> Finding:
    existing = path
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    text = f"{free / 1e9:,.1f} GB free for {path}"
    if free < _LOW_DISK_BYTES:
        return Finding(
            "disk", Verdict.WARNING, f"{text}: `rnnlab init NAME --dry-run` estimates the need of an experiment"
        )
    return Finding("disk", Verdict.GOOD, text)


def _database(database: str | Path) -> Finding:
    from rnnlab.queue.database import open_database
    from rnnlab.queue.store import Store

    if isinstance(database, Path) and not database.exists():
        return Finding("database", Verdict.GOOD, f"{database} does not exist yet: `rnnlab init NAME` creates it")
    engine = open_database(database, create=False, read_only=True)
    try:
        store = Store(engine)
        names = store.experiment_names()
        jobs = sum(store.counts().values())
    finally:
        engine.dispose()
    return Finding("database", Verdict.GOOD, f"{len(names)} experiments, {jobs:,} jobs")


def _corpora() -> Finding:
    from rnnlab.data.cache import data_dir
    from rnnlab.data.listing import CorpusStatus, list_corpora

    available = [entry.name for entry in list_corpora() if entry.status is not CorpusStatus.FETCHABLE]
    return Finding("corpora", Verdict.GOOD, f"{', '.join(available)} in {data_dir()}")
