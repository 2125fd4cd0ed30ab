"""The names of settings, their values and metrics in sentences, tables and pictures.

A setting, a value or a metric without an entry here is shown under its own name: nothing needs to be registered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnlab.analysis.labels import is_missing, is_switch, level_label, rounded


@dataclass(frozen=True)
class SettingName:
    """How one setting is written."""

    title: str  # on an axis: "state size S"
    phrase: str = ""  # in a sentence, with its value: "S = {}"; empty: title and value


SETTINGS: Mapping[str, SettingName] = {
    "use_input_gate": SettingName("input gate"),
    "use_forget_gate": SettingName("forget gate"),
    "use_output_gate": SettingName("output gate"),
    "use_state_gate": SettingName("state gate"),
    "use_new_state": SettingName("new state"),
    "use_old_state": SettingName("old state"),
    "use_residual": SettingName("residual"),
    "n_layers": SettingName("layers L", "L = {}"),
    "state_size": SettingName("state size S", "S = {}"),
    "block_size": SettingName("block size (symbols)", "block size {}"),
    "window_length": SettingName("window length (symbols)", "window length {}"),
}

# Per symbol of the tokenizer; any other tokenizer predicts "symbols".
_SYMBOLS = {"bytes": "byte", "characters": "character", "letters": "letter", "bpe": "token"}


@dataclass(frozen=True)
class MetricName:
    """How one number of a result is written. All of them are better when lower."""

    title: str
    unit: str  # "{}" stands for the symbol of the tokenizer
    series: str | None = None  # the training curve it is read from, and with it shares its axis


METRICS: Mapping[str, MetricName] = {
    "min_loss": MetricName("lowest EMA of training loss", "nats per {}", "ema_loss"),
    "final_loss": MetricName("final EMA of training loss", "nats per {}", "ema_loss"),
    "epoch_loss": MetricName("mean training loss of the last epoch", "nats per {}", "ema_loss"),
    "training_loss": MetricName("training loss after training", "nats per {}"),
    "held_out_loss": MetricName("loss on held-out windows", "nats per {}"),
    "validation_loss": MetricName("validation loss", "nats per {}"),
    "test_loss": MetricName("test loss", "nats per {}"),
    "validation_bits_per_character": MetricName("validation loss", "bits per character"),
    "test_bits_per_character": MetricName("test loss", "bits per character"),
    "validation_bits_per_byte": MetricName("validation loss", "bits per byte"),
    "test_bits_per_byte": MetricName("test loss", "bits per byte"),
}


def title(setting: str) -> str:
    """The title of a setting's axis."""
    return SETTINGS[setting].title if setting in SETTINGS else setting.replace("_", " ")


def phrase(setting: str, value: Any) -> str:
    """One setting with its value, inside a sentence: "S = 256", "no forget gate"."""
    if is_switch(value):
        return title(setting) if value else f"no {title(setting)}"
    pattern = SETTINGS[setting].phrase if setting in SETTINGS else ""
    return (pattern or title(setting) + " {}").format(level_label(value))


def setting_at(setting: str, value: Any) -> str:
    """One setting at one of its values, next to others: "forget gate off", "S = 256"."""
    return f"{title(setting)} {level_label(value)}" if is_switch(value) else phrase(setting, value)


def describe(row: Mapping[Any, Any], settings: Sequence[str]) -> str:
    """A run by the switches that are on and the values of its other settings; settings it does not have are left out.

    settings: those that vary. "forget + state gate, new state, residual, L = 2, S = 256"; empty without settings.
    """
    switches = [name for name in settings if is_switch(row[name])]
    on = _merge([title(name) for name in switches if row[name]])
    if switches and not on:
        on = ["all varied switches off"] if len(switches) > 1 else [phrase(switches[0], row[switches[0]])]
    others = [name for name in settings if name not in switches and not is_missing(row[name])]
    rest = [phrase(name, row[name]) for name in others]
    return ", ".join(on + rest)


def _merge(titles: Sequence[str]) -> list[str]:
    """Titles that end in the same word share it: forget gate, state gate -> forget + state gate."""
    heads: dict[str, list[str]] = {}
    for text in titles:
        head, _, tail = text.rpartition(" ")
        heads.setdefault(tail, []).append(head)
    return [f"{' + '.join(filter(None, words))} {tail}".strip() for tail, words in heads.items()]


def metric_title(metric: str) -> str:
    """The name of a metric, without its unit."""
    return METRICS[metric].title if metric in METRICS else metric.replace("_", " ")


def metric_label(metric: str, tokenizer: str | None) -> str:
    """The name of a metric with its unit, for an axis; `tokenizer` is the tokenizer's kind, None if they differ."""
    if metric not in METRICS:
        return metric_title(metric)
    return f"{METRICS[metric].title} ({METRICS[metric].unit.format(symbol(tokenizer))})"


def symbol(tokenizer: str | None) -> str:
    """What a tokenizer of this kind predicts: a byte, a character, a token."""
    return _SYMBOLS.get(tokenizer or "", "symbol")


def curve_series(metric: str) -> str | None:
    """The training curve that shares its axis with `metric`; None if there is none."""
    return METRICS[metric].series if metric in METRICS else None


def cell_text(median: float) -> str:
    """A median in a cell of a heat map: three decimals, fewer for large numbers."""
    return f"{median:.3f}" if abs(median) < 10 else rounded(median)
