"""What a model scores that knows nothing: the metric of a uniform guess among all symbols of the vocabulary."""

from math import log

import numpy as np
import pandas as pd

VOCABULARY_SIZE = "vocabulary_size"  # of the result: the number of symbols of the tokenizer
_FIXED_SIZES = {"bytes": 256, "letters": 28}  # of tokenizers whose vocabulary does not depend on the text


def guessing_metric(frame: pd.DataFrame, metric: str) -> "pd.Series[float]":
    """The metric of a uniform guess for each run: ln V for a loss in nats, V for a perplexity.

    frame: as `results_frame`. NaN where the number of symbols V is unknown, and for every other metric.
    """
    sizes = _vocabulary_sizes(frame)
    if metric.endswith("_loss"):
        return sizes.map(log)
    return sizes if metric.endswith("_perplexity") else pd.Series(np.nan, index=frame.index)


def _vocabulary_sizes(frame: pd.DataFrame) -> "pd.Series[float]":
    """From the result, or else from the kind of tokenizer."""
    known = pd.Series(np.nan, index=frame.index)
    if "tokenizer_kind" in frame.columns:
        known = frame["tokenizer_kind"].map(_FIXED_SIZES).astype(float)
    if VOCABULARY_SIZE in frame.columns:
        known = frame[VOCABULARY_SIZE].fillna(known)
    return known.where(known > 1)
