"""A trained model for use: it predicts, reads and writes text, and can be trained further like any torch module.

Shapes: B batch rows, T steps of a window, S state size, V vocabulary.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from rnnlab.data.tokenizer import Tokenizer
from rnnlab.models.numerics import one_thread
from rnnlab.models.single_model import SingleModel, make_single
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.text_generation import sample


class LanguageModel(nn.Module):
    """One language model with its tokenizer. It is created in eval mode, on the CPU, in float32, with gradients.

    The parameters are copies: training changes no checkpoint. A gated model has torch.nn.Linear modules; other cells
    have the names and shapes of rnnlab/models/recurrent/recurrent_cohort.py, a weight [inputs, outputs]. There is no
    dropout or similar layer, so training mode computes the same.
    """

    def __init__(self, config: RunConfig, tokenizer: Tokenizer, parameters: Mapping[str, Tensor]) -> None:
        """parameters: those of one model, named as in its checkpoint."""
        super().__init__()
        self.config = config  # everything that decided the run: config.model, config.training, config.hash, ...
        self.tokenizer = tokenizer
        self.network: SingleModel = make_single(config.model, parameters, tokenizer.vocabulary_size)
        self.eval()

    @property
    def vocabulary_size(self) -> int:
        """V: token ids are 0 .. V - 1."""
        return self.tokenizer.vocabulary_size

    def initial_state(self, batch_size: int) -> list[Tensor]:
        """The state before the first symbol: one tensor [B, S] for each layer, two for each layer of an LSTM."""
        return self.network.initial_state(batch_size)

    def forward(self, tokens_BT: Tensor, state: Sequence[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Token ids (integers, T >= 1) and the state before them -> logits [B, T, V] and the state after them.

        logits[:, t] predict the token after tokens[:, t]; their softmax is the probability of each token. Without
        `state` the tokens are the beginning of a text. Gradients flow back through all T symbols, except with the cell
        `gated`: its state is detached at every symbol, as in training.
        Raises ValueError for tokens that are not integers [B, T].
        """
        if tokens_BT.dim() != 2 or tokens_BT.is_floating_point() or not tokens_BT.shape[1]:
            given = f"{tokens_BT.dtype} {list(tokens_BT.shape)}"
            raise ValueError(f"tokens are {given}: give integers [B, T], with T at least 1")
        before = self.initial_state(len(tokens_BT)) if state is None else list(state)
        return self.network.window(tokens_BT.to(torch.int64), before)

    def encode(self, text: str | bytes) -> Tensor:
        """The token ids of a text, int64 [T], on the model's device. A str is encoded as UTF-8.

        Raises UsageError for a text that the vocabulary cannot express.
        """
        ids = self.tokenizer.encode(text.encode() if isinstance(text, str) else text)
        return torch.tensor(ids.tolist(), dtype=torch.int64, device=self._device)

    def decode(self, tokens: Tensor | Sequence[int]) -> str:
        """The text of token ids [T]. Bytes that are not valid UTF-8 become U+FFFD.

        Raises ValueError for an id outside the vocabulary.
        """
        ids: Sequence[int] = tokens.tolist() if isinstance(tokens, Tensor) else tokens
        return self.tokenizer.decode(ids).decode(errors="replace")

    def generate(self, prime: str = "The ", length: int = 500, temperature: float = 0.8, seed: int = 0) -> str:
        """`prime`, continued by `length` symbols drawn from the model: the text of `rnnlab sample`.

        temperature: of the softmax; below 1 the text is more predictable, above 1 less, and 0 always takes the most
        likely symbol. The same seed gives the same text.
        Raises UsageError for a prime that is empty or that the vocabulary cannot express, and for a negative number.
        """
        ids = self.encode(prime).tolist()
        drawn = self.continuation(ids, length=length, temperature=temperature, seed=seed)
        return prime + self.decode(list(drawn))

    def continuation(self, prime: Sequence[int], *, length: int, temperature: float, seed: int) -> Iterator[int]:
        """The ids that `generate` draws after the ids `prime`, one by one. Raises UsageError like `generate`."""
        state: list[Tensor] | None = None

        def read(ids: Sequence[int]) -> Tensor:
            nonlocal state
            tokens_BT = torch.tensor([list(ids)], dtype=torch.int64, device=self._device)
            with one_thread():  # with several threads the rounding, and so the drawn symbol, may differ
                logits_BTV, state = self.forward(tokens_BT, state)
            return logits_BTV[0, -1]

        return sample(read, prime=prime, length=length, temperature=temperature, seed=seed)

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device
