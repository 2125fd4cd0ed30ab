"""A single model as a torch module with its own parameters, for autograd and other code that takes modules.

The program of a gated cohort works on fixed buffers, without autograd. So a gated model is given in its textbook form.

Shapes: B batch rows, T steps of a window, S state size, V vocabulary, M models. This module adds and removes the
model axis.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from rnnlab.models.recurrent.recurrent_cohort import RecurrentStack
from rnnlab.models.reference import GatedLanguageModel
from rnnlab.spec.cell_settings import GatedSettings, ModelSettings, RecurrentSettings


class RecurrentLanguageModel(nn.Module):
    """A stack of recurrent layers: the program of the cohorts, for one model with its own parameters.

    A parameter has the name and the shape that it has in a checkpoint, a weight [inputs, outputs], but with / instead
    of the dots, which torch does not allow in names: `layers/0/input/weight`.
    """

    def __init__(self, settings: RecurrentSettings, parameters: Mapping[str, Tensor], vocabulary_size: int) -> None:
        super().__init__()
        self.settings = settings
        self.vocabulary_size = vocabulary_size
        self._names = {name: name.replace(".", "/") for name in parameters}
        for name, value in parameters.items():
            self.register_parameter(self._names[name], nn.Parameter(value.detach().clone()))

    def initial_state(self, batch_size: int) -> list[Tensor]:
        """The start state: for each layer each tensor of its state, [B, S]."""
        return [h_MBS.squeeze(0) for h_MBS in self._stack().initial_state(batch_size)]

    def window(self, ids_BT: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Symbols and the state before them -> logits [B, T, V] and the state after them."""
        ids_MTB = ids_BT.T.unsqueeze(0).contiguous()
        logits_MTBV, next_state = self._stack().window(ids_MTB, [h_BS.unsqueeze(0) for h_BS in state])
        return logits_MTBV.squeeze(0).transpose(0, 1), [h_MBS.squeeze(0) for h_MBS in next_state]

    def _stack(self) -> RecurrentStack:
        # Built at each call, because methods like `.to()` replace the parameters' tensors.
        views = {name: self.get_parameter(own).unsqueeze(0) for name, own in self._names.items()}
        return RecurrentStack(self.settings, views, self.vocabulary_size)


SingleModel = GatedLanguageModel | RecurrentLanguageModel


def make_single(settings: ModelSettings, parameters: Mapping[str, Tensor], vocabulary_size: int) -> SingleModel:
    """The module of one model, with copies of `parameters`, named as in checkpoints."""
    if not isinstance(settings, GatedSettings):
        return RecurrentLanguageModel(settings, parameters, vocabulary_size)
    with torch.random.fork_rng(devices=[]):  # the module draws initial parameters: keep the user's generator unchanged
        module = GatedLanguageModel(settings, vocabulary_size)
    module.load_cohort_parameters(parameters)
    return module
