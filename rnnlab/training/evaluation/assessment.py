"""The loss of one run on any split of its text, at any context length.

Shapes: E windows of an evaluation, W symbols of a window with its last target.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnlab.data.batches import evaluation_positions, load_splits, windows
from rnnlab.data.corpus import find
from rnnlab.data.splits import Fractions, Splits
from rnnlab.data.tokenizer import Tokenizer
from rnnlab.errors import UsageError
from rnnlab.models.factory import make_cohort
from rnnlab.spec.regime_settings import BpttSettings
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import limit_threads
from rnnlab.training.evaluation.final_losses import final_losses
from rnnlab.training.evaluation.symbol_losses import stepwise_losses
from rnnlab.training.evaluation.text_units import text_rate
from rnnlab.training.resources import threads_for
from rnnlab.training.run_state import RunState

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Assessment:
    """The loss of a run on one split, at one context length."""

    context: int  # predictions in a window; > 0
    windows: int  # number of windows; > 0
    loss: float  # nats per symbol
    bits_per_character: float  # of the text
    bits_per_byte: float  # of the text
    perplexity: float  # exp(loss)


def assess(
    config: RunConfig,
    state: RunState,
    tokenizer: Tokenizer,
    *,
    split: str,
    context: int | None,
    max_windows: int | None,
) -> Assessment:
    """The loss on windows of `context` predictions of one split, on the CPU.

    Without `context` and `max_windows` the windows and the loss are those of the run's own evaluation. With a given
    context all runs of an experiment are measured on the same windows, whatever windows they were trained on.

    Raises CorpusError if the text is not on this machine, UsageError if the split is empty or too short.
    """
    as_trained = context is None and max_windows is None
    context = context or config.training.span - 1
    corpus = find(config.corpus.sha256, config.corpus.name)
    splits = load_splits(corpus, tokenizer, Fractions(**config.split.model_dump()), need=1)
    tokens: Tensor = getattr(splits, split)
    if context >= len(tokens):
        raise UsageError(
            f"--context {context}: the {split} split has {len(tokens):,} symbols, and a window needs one more than its "
            "context: give a shorter context"
        )
    positions = evaluation_positions(len(tokens), context + 1, max_windows or config.evaluation.windows)
    loss = _own_loss(config, state, splits, tokenizer, split) if as_trained else None
    n_windows = len(positions)
    if loss is None:
        model = make_cohort([config.model], [state.parameters], tokenizer.vocabulary_size, _CPU)
        limit_threads(model, threads_for(config, live_workers=1))
        loss = float(stepwise_losses(model, windows(tokens, positions, context + 1).to(torch.int64)).mean())
    elif isinstance(config.training, BpttSettings) and config.training.sampling == "random":
        n_windows = config.evaluation.windows
    rate = text_rate(tokens, tokenizer)
    return Assessment(
        context=context,
        windows=n_windows,
        loss=loss,
        bits_per_character=rate.bits_per_character(loss),
        bits_per_byte=rate.bits_per_byte(loss),
        perplexity=float(torch.tensor(loss, dtype=torch.float64).exp()),
    )


def _own_loss(
    config: RunConfig, state: RunState, splits: Splits[Tensor], tokenizer: Tokenizer, split: str
) -> float | None:
    """The loss in the run's result, on its windows and positions; None for a split that results do not have."""
    losses = final_losses([config], [state], splits, tokenizer.vocabulary_size, _CPU, threads_for(config, 1))
    return losses[0].get("training" if split == "train" else split)
