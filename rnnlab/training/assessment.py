"""The loss of one run on any split of its text, at any context length.

Shapes: M = 1 model, E evaluation windows, W window length (symbols).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnlab.data.batches import evaluation_positions, load_splits, windows
from rnnlab.data.corpus import find
from rnnlab.data.splits import Fractions
from rnnlab.data.tokenizer import Tokenizer
from rnnlab.errors import UsageError
from rnnlab.models.registry import make_cohort
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import limit_threads
from rnnlab.training.measures import text_rate
from rnnlab.training.run_state import RunState
from rnnlab.training.sizing import threads_for
from rnnlab.training.stepwise import stepwise_losses


@dataclass(frozen=True)
class Assessment:
    """How well a run predicts one split, at one context length."""

    context: int  # predictions in a window
    windows: int
    loss: float  # nats per symbol
    bits_per_character: float
    bits_per_byte: float
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

    Without `context` and `max_windows` they are those of the run's own evaluation, and so is the loss. At one context
    all runs of an experiment are measured on the same windows, whatever they were trained on.

    Raises CorpusError if the text is not on this machine, UsageError if the split is empty or too short.
    """
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
    windows_EW = windows(tokens, positions, context + 1).to(torch.int64)
    model = make_cohort([config.model], [state.parameters], tokenizer.vocabulary_size, torch.device("cpu"))
    limit_threads(model, threads_for(config, live_workers=1))
    loss_ME = stepwise_losses(model, windows_EW)
    loss = float(loss_ME.mean())
    rate = text_rate(tokens, tokenizer)
    return Assessment(
        context=context,
        windows=len(windows_EW),
        loss=loss,
        bits_per_character=rate.bits_per_character(loss),
        bits_per_byte=rate.bits_per_byte(loss),
        perplexity=float(loss_ME.mean().exp()),
    )
