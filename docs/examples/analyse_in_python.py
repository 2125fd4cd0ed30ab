"""A small, complete sweep in Python: a table, a picture and a text. Run it in an empty folder.

It takes about ten seconds: four models on a text that rnnlab generates. A worker process does the training. It may be
killed and restarted, here or in another shell; this program only reads the results.
"""

import subprocess
import sys
from pathlib import Path

import seaborn as sns

import rnnlab

EXPERIMENT = """
name = "cells"
corpus = "generated"

[model]
embedding_size = 8

[training]
regime = "bptt"
batch_size = 16
block_size = 16
iterations = 120
learning_rate = 1e-2
record_every = 10

[grid]
cell = ["rnn", "gru-reset-after"]
state_size = [8, 24]

[analysis]
metric = "validation_loss"
"""


def main() -> None:
    """Train, then show the results."""
    Path("cells.toml").write_text(EXPERIMENT)
    print(rnnlab.init("cells.toml").added, "jobs added")
    subprocess.run([sys.executable, "-m", "rnnlab", "worker", "cells"], check=True)

    runs = rnnlab.results("cells")
    print(runs.pivot(index="cell", columns="state_size", values="validation_loss").round(3))

    points = rnnlab.curves("cells").merge(runs[["id", "cell", "state_size"]], on="id")
    picture = sns.relplot(points, kind="line", x="step", y="ema_loss", hue="cell", style="state_size")
    picture.set_axis_labels("optimizer steps", "training loss, nats per symbol")
    picture.savefig("curves.png", dpi=120)

    model = rnnlab.load_model("best", experiment="cells")
    print(model.config.model.cell, "with", sum(p.numel() for p in model.parameters()), "parameters writes:")
    print(model.generate("The ", length=150, temperature=0.7, seed=1))


if __name__ == "__main__":
    main()
