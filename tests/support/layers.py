"""The rooms of the package: which others each may import. docs/architecture.md shows this table."""

# room of rnnlab -> (rooms that it may import besides itself, packages that it may import besides the standard library)
LAYERS: dict[str, tuple[set[str], set[str]]] = {
    "rnnlab": ({"api", "version"}, set()),
    # L0: nouns that every room uses
    "version": (set(), set()),
    "errors": (set(), set()),
    "files": ({"errors"}, set()),
    "configuration": ({"errors"}, set()),
    "provenance": ({"version"}, set()),
    "devices": ({"errors"}, {"torch"}),
    # L1: what an experiment is
    "spec": ({"errors", "files"}, {"pydantic"}),
    # L2: the job table, and training
    "queue": ({"errors", "files"}, {"sqlalchemy", "alembic", "filelock"}),
    "data": ({"errors", "files", "configuration"}, {"numpy", "torch", "filelock", "platformdirs", "tokenizers"}),
    "models": ({"errors", "files", "spec"}, {"torch"}),
    "kernels": ({"files"}, {"numpy", "scipy", "torch", "filelock", "platformdirs"}),
    "training": (
        {"version", "errors", "files", "provenance", "devices", "spec", "data", "models", "kernels"},
        {"numpy", "torch"},
    ),
    # L3: what joins them
    "workspace": ({"errors", "files", "queue"}, set()),
    "plans": ({"errors", "files", "spec", "queue", "data"}, set()),
    "cost": ({"errors", "spec", "queue", "data", "models", "training"}, {"torch"}),
    "worker": (
        {"errors", "files", "spec", "queue", "data", "models", "kernels", "training", "plans"},
        {"torch"},
    ),
    "analysis": (
        {"errors", "files", "spec", "queue"},
        {"numpy", "pandas", "scipy", "matplotlib", "seaborn", "PIL", "jinja2", "markdown_it"},
    ),
    # L4: what each command does, for the shell and for Python
    "actions": (
        {
            *("errors", "files", "configuration", "devices", "workspace"),
            *("spec", "queue", "data", "models", "kernels", "training", "plans", "cost", "analysis", "testing"),
        },
        {"torch", "pandas", "matplotlib", "optuna", "tensorboard"},
    ),
    # The public Python surface
    "cells": ({"models"}, set()),
    "testing": ({"errors", "spec", "models", "training"}, {"torch"}),
    "api": ({"errors", "files", "configuration", "workspace", "plans", "analysis", "training", "actions"}, {"pandas"}),
}
# The shell sees all of the above; heavy packages are imported inside its functions.
LAYERS["cli"] = (set(LAYERS) - {"rnnlab", "cells"} | {"version"}, {"typer", "rich"})
LAYERS["__main__"] = ({"cli"}, set())

_BASE = {"question", "labels", "levels", "results_frame", "ranges", "guessing", "runs"}
# part of rnnlab.analysis -> (parts of it that it may import besides itself, packages besides the standard library):
# runs -> statistics -> words -> plots -> html, report
ANALYSIS_LAYERS: dict[str, tuple[set[str], set[str]]] = {
    "question": (set(), set()),
    "labels": (set(), {"numpy"}),
    "levels": (set(), {"pandas"}),
    "results_frame": (set(), {"numpy", "pandas"}),
    "ranges": ({"labels", "levels", "results_frame"}, {"numpy", "pandas"}),
    "guessing": (set(), {"numpy", "pandas"}),
    "runs": ({"question", "levels", "results_frame", "ranges", "guessing"}, {"pandas"}),
    "statistics": (_BASE, {"numpy", "pandas", "scipy"}),
    "words": ({*_BASE, "statistics"}, {"numpy", "pandas"}),
    "plots": ({*_BASE, "statistics", "words"}, {"numpy", "pandas", "matplotlib", "seaborn", "PIL"}),
    "html": ({*_BASE, "statistics", "words", "plots"}, {"pandas", "jinja2", "markdown_it"}),
    "report": ({*_BASE, "statistics", "words", "plots", "html"}, {"pandas"}),
}
