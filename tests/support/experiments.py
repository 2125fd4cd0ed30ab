"""A small experiment for tests."""

SMALL = """\
name = "small"
corpus = "generated"
seed = 0

[model]
cell = "gated"
state_size = 4

[training]
batch_size = 2
window_length = 11
windows = 2
learning_rate = 1e-3
record_every = 5

[grid]
n_layers = [1, 2]
use_forget_gate = [false, true]

[[rounds]]
name = "refine"
select = { by = "min_loss", best_fraction = 0.5 }
set = { windows = 3 }

[[rounds.vary]]

[[rounds.vary]]
set = { state_size = 6 }

[[rounds]]
name = "replicate"
select = { by = "min_loss", top = 2 }
set = { windows = 2 }
seeds = 3
"""
