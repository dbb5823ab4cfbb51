"""A study of trials that only wait, as a worker that a test can start several times and kill.

    python tests/shared_study.py FOLDER TRIALS SECONDS

FOLDER names the study. The last line of the output is the result, as JSON.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import optuna

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from icu_adversarial.config.base import Block, Range
from icu_adversarial.search import server, shared
from icu_adversarial.search.study import run_study


class Space(Block):
    kappa: Range
    penalty: Range


SPACE = Space(kappa=Range(low=0, high=2), penalty=Range(low=1e-7, high=1, log=True))
FIRST = {"kappa": 1.25, "penalty": 0.5}


def hurry(patch: Any = setattr) -> None:
    """Shorten what a worker waits for."""
    patch(server, "HEARTBEAT", 1)
    patch(server, "GRACE", 3)
    patch(shared, "POLL", 0.1)


def run(state: Path, trials: int, function: Any = None, **options: Any) -> list[Any]:
    def bowl(trial: optuna.Trial, h: dict[str, Any]) -> float:
        return (h["kappa"] - 1.3) ** 2

    return run_study(
        function or bowl,
        SPACE,
        trials=trials,
        seed=11,
        direction="minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
        state=state,
        first=FIRST,
        **options,
    )


def described(trials: list[Any]) -> list[Any]:
    return [(t.params, t.value, t.state.name) for t in trials]


def main(state: Path, trials: int, seconds: float) -> None:
    """Each trial reports three times and may be pruned."""

    def slow(trial: optuna.Trial, h: dict[str, Any]) -> float:
        print("began", trial.number, flush=True)
        value = (h["kappa"] - 1.3) ** 2
        for step in range(3):
            time.sleep(seconds / 3)
            trial.report(value + 1 / (step + 1), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    hurry()
    print("process", os.getpid(), flush=True)
    found = run(state, trials, slow)
    print(json.dumps([described(found), [t.user_attrs["worker"] for t in found]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
