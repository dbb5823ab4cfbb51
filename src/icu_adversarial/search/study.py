"""A search that can be stopped, killed and resumed, and still finds what an undisturbed one finds."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pyarrow as pa
import pyarrow.parquet as pq
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from icu_adversarial.errors import InputError
from icu_adversarial.files import atomic, digest, write_json
from icu_adversarial.params import Block
from icu_adversarial.search.space import decode, encode, suggest
from icu_adversarial.search.tables import Direction, trials_table

LOCK_SECONDS = (
    3  # a lock this old was left by a process that was killed: a line is written in milliseconds
)
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def study_key(*parts: bytes | str | Path) -> str:
    """Names a study after what its trials depend on: `parts` (parameters, input files) and the code now loaded; not after the number of trials."""
    modules = {
        name: module.__file__
        for name, module in sys.modules.items()
        if name.startswith("icu_adversarial")
    }
    return digest(*parts, *(Path(file) for _, file in sorted(modules.items()) if file))[:16]


def run_study(
    evaluate: Callable[[optuna.Trial, dict[str, Any]], float],
    space: Block,
    *,
    trials: int,
    seed: int,
    direction: Direction,
    pruner: optuna.pruners.BasePruner,
    state: Path,
    first: dict[str, Any] | None = None,
) -> list[FrozenTrial]:
    """Run until `trials` trials have ended (complete or pruned), counting those that the journal in `state` already holds.

    evaluate(trial, hyperparameters) returns the value, may report and may raise TrialPruned. The sampler is seeded anew from (seed, number of ended
    trials) before each trial, so that a resumed study draws what an undisturbed one draws. first: hyperparameters to try before any other, where
    the space holds them. Returns the first `trials` ended trials, in order.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    state.mkdir(parents=True, exist_ok=True)
    journal = state / "journal.log"
    _drop_torn_line(journal)
    lock = JournalFileSymlinkLock(str(journal), grace_period=LOCK_SECONDS)
    storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))
    study = optuna.create_study(
        storage=storage, study_name="study", load_if_exists=True, direction=direction, pruner=pruner
    )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)  # killed in the midst of it

    def objective(trial: optuna.Trial) -> float:
        return evaluate(trial, suggest(trial, space))

    ended = len(study.get_trials(deepcopy=False, states=ENDED))
    known = encode(first, space) if first and ended == 0 else None
    if known and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(known)
    with tqdm(total=trials, initial=min(ended, trials), desc="trials", unit="trial") as bar:
        while ended < trials:
            study.sampler = optuna.samplers.TPESampler(seed=(seed + ended) % 2**32)
            study.optimize(objective, n_trials=1)
            ended += 1
            bar.update()
    return study.get_trials(deepcopy=False, states=ENDED)[:trials]


def best_trial(trials: list[FrozenTrial], direction: Direction) -> FrozenTrial:
    """The best complete trial, the earliest of equals. Raises InputError when none is complete."""
    complete = [t for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
    if not complete:
        raise InputError(
            f"none of the {len(trials)} trials reached its end with a finite value: narrow the search space in params.yaml"
        )
    sign = 1 if direction == "minimize" else -1
    return min(complete, key=lambda t: (sign * float(t.value), t.number))  # type: ignore[arg-type]


def write_study(
    folder: Path,
    trials: list[FrozenTrial],
    direction: Direction,
    fixed: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write best.json (trial, value, hyperparameters) and trials.parquet (one row per trial) into `folder`. Trials are renumbered in their order.

    fixed: hyperparameters that the best trial's are added to; all that there is without a trial.
    """
    content: dict[str, Any] = {"trial": None, "value": None, "hyperparameters": fixed or {}}
    if trials:
        best = best_trial(trials, direction)
        content = {
            "trial": trials.index(best),
            "value": best.value,
            "hyperparameters": content["hyperparameters"] | decode(best.params),
        }
    write_json(folder / "best.json", content)
    with atomic(folder / "trials.parquet") as temporary:
        pq.write_table(
            pa.Table.from_pandas(
                trials_table(trials), preserve_index=False
            ).replace_schema_metadata(None),
            temporary,
        )
    return content


def _drop_torn_line(journal: Path) -> None:
    """A process killed while it wrote leaves half a line at the end, which the next line would be glued to."""
    if journal.exists():
        content = journal.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(journal, whole)
