"""The number of trainable parameters of a run, without building its model.

Results of finished runs contain it. Those of imported runs may not: for the gated cell it follows from the settings.
"""

import json
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.analysis.runs import Runs
from rnnlab.spec.cell_settings import GatedSettings

_COLUMN = "parameters"  # of the results
_BYTES = 256  # symbols of the tokenizer `bytes`; the number of the others depends on the text


def parameters_of(runs: Runs) -> "pd.Series[float]":
    """The number of trainable parameters of each run; NaN if it is neither measured nor known from the settings."""
    frame = runs.frame
    measured = frame[_COLUMN].astype(float) if _COLUMN in frame.columns else pd.Series(np.nan, index=frame.index)
    missing = measured.isna()
    return measured.where(~missing, frame.loc[missing, "payload"].map(_from_settings))


def _from_settings(payload: str) -> float:
    config: dict[str, Any] = json.loads(payload)
    if config["model"].get("cell") != "gated" or config["tokenizer"].get("kind") != "bytes":
        return np.nan
    return gated_parameters(GatedSettings.model_validate(config["model"]), _BYTES)


def gated_parameters(settings: GatedSettings, vocabulary_size: int) -> int:
    """The number of trainable parameters of a gated model (equations in rnnlab/models/gated/gated_cohort.py)."""
    size = settings.state_size
    sources = settings.use_new_state + settings.use_old_state + settings.use_residual
    # Of each map of a layer: how many states it reads, how many it writes.
    maps = [(2, 1), (sources, 1)]
    maps += [(2, 2)] * settings.use_input_gate
    maps += [(3, 1)] * (settings.use_state_gate + settings.use_forget_gate)
    maps += [(1 + sources, 1)] * settings.use_output_gate
    layer = sum((reads * size + 1) * writes * size for reads, writes in maps)
    return (vocabulary_size + 1) * size + settings.n_layers * layer + (size + 1) * vocabulary_size
