"""Made-up rounds, with curves like those of real ones."""

from dataclasses import dataclass

import numpy as np

from rnnlab.queue.job import Curve, Job
from tests.support.published_runs import make_job

_LAST_STEP = 4000


@dataclass(frozen=True)
class MadeUpRound:
    """Jobs and their curves."""

    jobs: list[Job]
    curves: dict[int, Curve]


def made_up_round(
    n: int, diverged: int = 0, unfinished: int = 0, points: int = 0, long_names: bool = False
) -> MadeUpRound:
    """n jobs over five settings, the first ones diverged, the last ones unfinished; with curves if they have points."""
    random = np.random.default_rng(n)
    jobs, curves = [], {}
    for i in range(n):
        model = {
            "cell": ["gru", "rnn"][i % 2],
            "n_layers": 1 + i // 2 % 2,
            "state_size": [16, 32, 64][i // 4 % 3],
            "use_skip": bool(i // 12 % 2),
            "dropout": [0.0, 0.1, 0.2, 0.3, 0.5][i // 24 % 5],
        }
        if long_names:
            model |= {"schedule": f"[[4, 0.00{i % 10}], [2, 0.0001]]", "rate": 1e-4 * 2.0 ** (i % 24)}
        loss = 1.8 + 0.2 * (i % 2) - 0.1 * (i // 4 % 3) + 0.05 * float(random.standard_normal())
        breaks = i < diverged
        result = {"min_loss": loss, "final_loss": loss + 0.1, "diverged_at_step": 500 if breaks else None}
        jobs.append(make_job(i + 1, model, None if i >= n - unfinished else result, seed=i // 120))
        if points:
            curves[i + 1] = _curve(loss, points, breaks)
    return MadeUpRound(jobs, curves)


def random_search(n: int) -> list[Job]:
    """Jobs with different learning rates, every third without momentum; the largest rates diverge."""
    random = np.random.default_rng(0)
    jobs = []
    for i in range(n):
        training = {"learning_rate": float(10 ** random.uniform(-5, -1))} | (
            {"momentum": random.uniform(0, 1)} if i % 3 else {}
        )
        loss = 1.6 + 0.1 * (np.log10(training["learning_rate"]) + 3) ** 2 + 0.01 * random.standard_normal()
        result = {
            "min_loss": loss,
            "final_loss": loss,
            "diverged_at_step": 9 if training["learning_rate"] > 0.05 else None,
        }
        jobs.append(make_job(i + 1, {"cell": ["gru", "rnn"][i % 2]}, result, training=training))
    return jobs


def _curve(lowest: float, points: int, diverges: bool) -> Curve:
    steps = np.linspace(_LAST_STEP / points, _LAST_STEP, points)
    values = lowest + (5.5 - lowest) * np.exp(-0.02 * steps) + 0.5 * np.exp(-steps / 400)
    if diverges:
        third = points // 3
        values[third:] *= np.exp(np.arange(points - third) / 5)
        values[2 * third :] = np.nan
    return Curve(steps.astype(int).tolist(), {"ema_loss": values.tolist()})
