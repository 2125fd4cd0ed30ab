"""Checkpoints: one run's state in one file, written atomically.

A file is a header line and the output of torch.save:

    rnnlab-checkpoint 1 <SHA-256 of the body> <bytes of the body>\n
    <body>

Version 1 is for the online regime; version 2 adds the averages over epochs of the BPTT regime.

The body depends on the run's state alone. It has no worker, epoch or time, so equal runs give equal bytes. The file's
name has the epoch of the claim that wrote it, so that a stale worker cannot overwrite a newer file. The body also has
the vocabulary, if the run's tokenizer learned one: the text is not needed to use the model.
"""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from rnnlab.errors import CheckpointError, SpecError
from rnnlab.files import atomic_write, checkpoint_name, parse_checkpoint_name, sha256_hex
from rnnlab.spec.regime_settings import OnlineSettings
from rnnlab.spec.run_config import RunConfig, run_config_from_json
from rnnlab.training.run_state import RunState

_MAGIC = "rnnlab-checkpoint"
_VERSIONS = ("1", "2")
_KEPT_OF_EARLIER_CLAIMS = 3


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file."""

    config_json: str  # canonical JSON of the run config
    state: RunState  # the run after its last step
    vocabulary: str | None  # what the tokenizer learned; None if it learns nothing


def encode(config: RunConfig, state: RunState, vocabulary: str | None = None) -> bytes:
    """The bytes of a checkpoint file. `vocabulary`: what the run's tokenizer learned; None if it learns nothing."""
    stream = io.BytesIO()
    epochs = not isinstance(config.training, OnlineSettings)
    torch.save(
        {
            "config": config.canonical_json,
            **({} if vocabulary is None else {"vocabulary": vocabulary}),
            "step": state.step,
            "ema_loss": state.ema_loss,
            "curve_steps": torch.tensor(state.curve_steps, dtype=torch.int64),
            "curve_ema_loss": torch.tensor(state.curve_ema_loss, dtype=torch.float64),
            "parameters": state.parameters,
            "first_moments": state.first_moments,
            "second_moments": state.second_moments,
            "hidden_LBS": state.hidden_LBS,
        }
        | ({"epoch_sum": state.epoch_sum, "epoch_loss": state.epoch_loss} if epochs else {}),
        stream,
    )
    body = stream.getvalue()
    return f"{_MAGIC} {_VERSIONS[epochs]} {sha256_hex(body)} {len(body)}\n".encode() + body


def decode(data: bytes, source: str) -> Checkpoint:
    """Decode the bytes of a checkpoint file. `source` is its name for error messages.

    Raises CheckpointError if they are truncated, corrupt, or not a checkpoint of a known version.
    """
    header, _, body = data.partition(b"\n")
    fields = header.decode("ascii", errors="replace").split(" ")
    if len(fields) != 4 or fields[0] != _MAGIC:
        raise CheckpointError(f"{source} is not a checkpoint of rnnlab")
    if fields[1] not in _VERSIONS:
        raise CheckpointError(
            f"{source} has checkpoint version {fields[1]}, but this rnnlab reads {' and '.join(_VERSIONS)}: upgrade it"
        )
    if str(len(body)) != fields[3]:
        raise CheckpointError(f"{source} is truncated: {len(body)} of {fields[3]} bytes")
    if sha256_hex(body) != fields[2]:
        raise CheckpointError(f"{source} is corrupt: its checksum does not match")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        document = torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
    state = RunState(
        parameters=document["parameters"],
        first_moments=document["first_moments"],
        second_moments=document["second_moments"],
        hidden_LBS=document["hidden_LBS"],
        step=document["step"],
        ema_loss=document["ema_loss"],
        curve_steps=document["curve_steps"].tolist(),
        curve_ema_loss=document["curve_ema_loss"].tolist(),
        epoch_sum=document.get("epoch_sum", 0.0),
        epoch_loss=document.get("epoch_loss"),
    )
    return Checkpoint(document["config"], state, document.get("vocabulary"))


def read(path: Path) -> Checkpoint:
    """Read one checkpoint file.

    Raises CheckpointError if it is missing, unreadable, truncated or corrupt.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror or error}") from error
    return decode(data, f"checkpoint {path}")


def write(run_dir: Path, config: RunConfig, state: RunState, epoch: int, vocabulary: str | None = None) -> Path:
    """Write a checkpoint and delete older ones, except for the previous one, which is kept as a fallback.

    Raises OSError, for example if the disk is full; the older checkpoints are then unchanged.
    """
    path = run_dir / checkpoint_name(epoch, state.step)
    atomic_write(path, encode(config, state, vocabulary))
    mine: list[Path] = []
    others: list[Path] = []
    for other in _newest_first(run_dir):
        parsed = parse_checkpoint_name(other.name)
        # A checkpoint of a later epoch belongs to the worker that took over the job.
        if parsed and parsed[0] <= epoch:
            (mine if parsed[0] == epoch else others).append(other)
    # The checkpoints of this claim are intact. One of an earlier claim may be damaged, whatever step its name has. So
    # more of those are kept until this claim has two.
    kept = mine[:2] if len(mine) > 1 else others[:_KEPT_OF_EARLIER_CLAIMS]
    for other in {*mine, *others} - {path, *kept}:
        other.unlink(missing_ok=True)
    return path


def keep_only(run_dir: Path, path: Path | None) -> None:
    """Delete every checkpoint except `path`, and temporary files of killed workers. For a run that is committed."""
    for other in [*_newest_first(run_dir), *run_dir.glob(".checkpoint-*.tmp")]:
        if other != path:
            other.unlink(missing_ok=True)


def newest(run_dir: Path, config: RunConfig, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that is intact, or None. `warn` is called for each one that is not.

    The bits of a run depend on its config alone, so the most advanced intact file is correct, whichever worker wrote
    it. A checkpoint of a shorter run with otherwise the same config is usable: an extended run starts from it.
    """
    for path in _newest_first(run_dir):
        try:
            checkpoint = read(path)
        except CheckpointError as error:
            warn(f"{error}; falling back to the previous checkpoint")
            continue
        if not _is_usable(checkpoint, config):
            warn(f"checkpoint {path} belongs to another run config: ignored")
            continue
        return checkpoint
    return None


def _is_usable(checkpoint: Checkpoint, config: RunConfig) -> bool:
    try:
        return run_config_from_json(checkpoint.config_json).is_beginning_of(config)
    except SpecError:  # of a newer rnnlab
        return False


def _newest_first(run_dir: Path) -> list[Path]:
    found = [(parse_checkpoint_name(path.name), path) for path in run_dir.glob("checkpoint-*.rnn")]
    ranked = sorted(((step, epoch, path) for (epoch, step), path in ((p, q) for p, q in found if p)), reverse=True)
    return [path for _, _, path in ranked]
