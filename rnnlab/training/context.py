"""Training on one device: texts, resuming from a run folder, and the results of finished runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rnnlab.data.batches import load_splits
from rnnlab.data.corpus import find
from rnnlab.data.splits import Fractions, Splits
from rnnlab.data.tokenizer import Tokenizer, make_tokenizer
from rnnlab.files import sha256_hex
from rnnlab.provenance import program_provenance
from rnnlab.spec.run_config import RunConfig
from rnnlab.training import checkpoint
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.engines.native_engine import arithmetic_of
from rnnlab.training.evaluation.final_losses import final_losses
from rnnlab.training.evaluation.run_result import result_of
from rnnlab.training.evaluation.text_units import TextRate, text_rate, with_text_units
from rnnlab.training.run_state import RunState, fresh_state


class TrainingContext:
    """Training on one device. Each text is read once and kept in memory."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._texts: dict[str, tuple[Splits[Tensor], Tokenizer]] = {}
        self._rates: dict[str, dict[str, TextRate]] = {}  # how much text a symbol stands for, by text and split
        self._vocabularies: dict[str | None, str] = {}  # by SHA-256

    def keep_vocabulary(self, vocabulary: str) -> None:
        """Keep the vocabulary that a tokenizer learned at `init`, for the runs whose configs have its hash."""
        self._vocabularies[sha256_hex(vocabulary.encode())] = vocabulary

    def vocabulary(self, config: RunConfig) -> str | None:
        """The vocabulary of the config's tokenizer; None if it is not kept here or if the tokenizer learns nothing."""
        return self._vocabularies.get(config.tokenizer.vocabulary_sha256)

    def text(self, config: RunConfig) -> tuple[Splits[Tensor], Tokenizer]:
        """The token splits and the tokenizer of the config.

        Raises CorpusError if the text is not on this machine or is too short for the config's windows, and UsageError
        if the vocabulary of the tokenizer is not kept here.
        """
        key = f"{config.corpus.sha256} {config.split} {config.tokenizer} {config.training.span}"
        if key not in self._texts:
            corpus = find(config.corpus.sha256, config.corpus.name)
            settings = config.tokenizer
            tokenizer = make_tokenizer(settings.kind, self.vocabulary(config), settings.vocabulary_sha256)
            fractions = Fractions(config.split.train, config.split.validation, config.split.test)
            self._texts[key] = load_splits(corpus, tokenizer, fractions, config.training.span), tokenizer
        return self._texts[key]

    def resume(self, config: RunConfig, run_dir: Path, warn: Callable[[str], None]) -> RunState:
        """The run's state from its newest intact checkpoint, or its initial state if there is none.

        `warn` is called for each checkpoint that is truncated, corrupt or of another run.
        """
        found = checkpoint.newest(run_dir, config, warn)
        return found.state if found is not None else fresh_state(config, self.text(config)[1].vocabulary_size)

    def cohort(self, members: Sequence[Member]) -> Cohort:
        """A cohort of these runs, ready to train."""
        splits, tokenizer = self.text(members[0].config)
        return Cohort(members, splits.train, tokenizer.vocabulary_size, self.device)

    def results(self, finished: Sequence[Member], max_threads: int) -> list[dict[str, Any]]:
        """The results of finished runs of one group, with held-out losses and provenance."""
        splits, tokenizer = self.text(finished[0].config)
        not_diverged = [member for member in finished if member.state.diverged_at_step is None]
        losses = iter(
            final_losses(
                [member.config for member in not_diverged],
                [member.state for member in not_diverged],
                splits,
                tokenizer.vocabulary_size,
                self.device,
                max_threads,
            )
            if not_diverged
            else []
        )
        provenance = program_provenance() | {"torch_version": torch.__version__, "device": str(self.device)}
        provenance["kernels"] = arithmetic_of(finished[0].config.model, self.device)
        results = [
            result_of(
                member.config,
                member.state,
                {} if member.state.diverged_at_step is not None else next(losses),
                tokenizer.vocabulary_size,
            )
            | provenance
            for member in finished
        ]
        return [with_text_units(result, self._text_rates(finished[0].config)) for result in results]

    def _text_rates(self, config: RunConfig) -> dict[str, TextRate]:
        key = f"{config.corpus.sha256} {config.split} {config.tokenizer}"
        if key not in self._rates:
            splits, tokenizer = self.text(config)
            held_out = {"validation": splits.validation, "test": splits.test}
            self._rates[key] = {name: text_rate(tokens, tokenizer) for name, tokens in held_out.items()}
        return self._rates[key]
