"""A search that can be stopped, killed and resumed, with the result of an undisturbed search.

The tuning stages and the study nested call it.
"""

import hashlib
import json
import os
import re
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

from icu_adversarial.config.base import Block
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import atomic, clear_way, discard, write_json
from icu_adversarial.core.log import Progress
from icu_adversarial.search.figures import Direction, trials_table
from icu_adversarial.search.space import decode, encode, suggest

# The code that a study depends on, as rooms of `resumable`. Its figures are not among it.
SEARCH = ("search/space.py", "search/study.py")
# A lock of this age was left by a process that was killed: a line is written in milliseconds.
LOCK_SECONDS = 3
SEALED = re.compile(rb'(\{.*),"seal":"([0-9a-f]{64})"\}\n')  # a line of a journal
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


class Journal(JournalFileBackend):
    """The log of a study. Every line ends with a SHA-256 over itself and the previous seal.

    The lines before the first damaged one are therefore what the file contained at an earlier
    moment, and the study continues from there. The damaged line and those after it are removed.
    """

    def __init__(self, file: Path) -> None:
        if file.is_dir():
            discard(file, "is a folder")
        lock = JournalFileSymlinkLock(str(file), grace_period=LOCK_SECONDS)
        existed = file.exists()
        super().__init__(str(file), lock_obj=lock)
        self.file, self._last = file, b""
        content, length, number = file.read_bytes(), 0, 1
        for line in content.splitlines(keepends=True):
            match = SEALED.fullmatch(line)
            if not match or _seal(self._last, match[1]) != match[2]:
                break
            self._last = match[2]
            length, number = length + len(line), number + 1
        # An empty file is damage too: the study writes its first line as soon as it has made it.
        self.damaged_line = number if existed and (length < len(content) or not length) else None
        os.truncate(file, length)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines. logs: their content; this adds the seals."""
        last, sealed = self._last, []
        for log in logs:
            last = _seal(last, json.dumps(log, separators=(",", ":"))[:-1].encode())
            sealed.append({**log, "seal": last.decode()})
        super().append_logs(sealed)
        self._last = last


def _seal(last: bytes, line: bytes) -> bytes:
    """The seal of a line that begins with `line` and follows one with the seal `last`."""
    return hashlib.sha256(last + line).hexdigest().encode()


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
    watch: Callable[[list[FrozenTrial]], None] = lambda trials: None,
) -> list[FrozenTrial]:
    """Run until `trials` trials have ended, complete or pruned. Those in the journal count.

    The sampler is seeded with the seed plus the number of ended trials before each trial. A study
    that continues after a kill or a damage to its journal therefore draws what an undisturbed
    study draws.

    Args:
        evaluate: Takes the trial and its hyperparameters and returns the value. It may report
            intermediate values and may raise TrialPruned.
        space: The ranges of the hyperparameters.
        trials: How many trials must have ended.
        seed: Seed of the sampler.
        direction: Whether a smaller or a larger value is better.
        pruner: Decides which trials end early.
        state: The folder of the journal.
        first: Hyperparameters of the first trial, if the space contains them.
        watch: Gets the ended trials, first as this run finds them and again after every trial.

    Returns:
        The first `trials` ended trials, in order.
    """
    study = _open(state, direction, pruner)
    ended = len(study.get_trials(deepcopy=False, states=ENDED))
    done = min(ended, trials)

    def objective(trial: optuna.Trial) -> float:
        return evaluate(trial, suggest(trial, space))

    known = encode(first, space) if first and ended == 0 else None
    if known and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(known)
    watch(study.get_trials(deepcopy=False, states=ENDED)[:trials])
    with Progress("search", trials, "trial", done) as progress:
        while ended < trials:
            study.sampler = optuna.samplers.TPESampler(seed=(seed + ended) % 2**32)
            study.optimize(objective, n_trials=1)
            ended += 1
            found = study.get_trials(deepcopy=False, states=ENDED)
            watch(found)
            progress.step(_in_words(found, direction))
    return study.get_trials(deepcopy=False, states=ENDED)[:trials]


def _open(state: Path, direction: Direction, pruner: optuna.pruners.BasePruner) -> optuna.Study:
    """Open or create the study in the folder `state`; say so if its journal is damaged."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    clear_way(state)
    state.mkdir(parents=True, exist_ok=True)
    journal = Journal(state / "journal.log")
    study = optuna.create_study(
        storage=JournalStorage(journal),
        study_name="study",
        load_if_exists=True,
        direction=direction,
        pruner=pruner,
    )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)  # it was running when the process ended
    if journal.damaged_line:
        ended = len(study.get_trials(deepcopy=False, states=ENDED))
        print(
            f"warning: {journal.file} is damaged in line {journal.damaged_line}: "
            f"the search continues from the {ended} trials before it",
            file=sys.stderr,
        )
    return study


def _in_words(trials: list[FrozenTrial], direction: Direction) -> str:
    """Describe the last of these trials in a line: its values, and the best value so far."""
    last, best = trials[-1], min if direction == "minimize" else max
    complete = [t.value for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
    numbers = {"value": last.value, "best": best(complete, default=None), **last.user_attrs}
    shown = [f"{name.replace('_', ' ')} {n:.4g}" for name, n in numbers.items() if n is not None]
    return ", ".join([last.state.name.lower(), *shown])


def best_trial(trials: list[FrozenTrial], direction: Direction) -> FrozenTrial:
    """Find the best complete trial; of equal ones, the earliest.

    Args:
        trials: Ended trials.
        direction: Whether a smaller or a larger value is better.

    Returns:
        The trial.

    Raises:
        InputError: No trial is complete.
    """
    complete = [t for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
    if not complete:
        raise InputError(
            f"none of the {len(trials)} trials reached its end with a finite value: narrow the "
            "search space in params.yaml"
        )
    sign = 1 if direction == "minimize" else -1
    return min(complete, key=lambda t: (sign * float(t.value), t.number))  # type: ignore[arg-type]


def write_study(
    folder: Path,
    trials: list[FrozenTrial],
    direction: Direction,
    fixed: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write best.json (trial, value, hyperparameters) and trials.parquet (one row per trial).

    Args:
        folder: Where the files go.
        trials: Ended trials, in order. They are renumbered in this order.
        direction: Whether a smaller or a larger value is better.
        fixed: Further hyperparameters, which a trial overrides. Without a trial, they are the best
            ones.

    Returns:
        The content of best.json.
    """
    content: dict[str, Any] = {"trial": None, "value": None, "hyperparameters": fixed or {}}
    if trials:
        best = best_trial(trials, direction)
        content = {
            "trial": trials.index(best),
            "value": best.value,
            "hyperparameters": content["hyperparameters"] | decode(best.params),
        }
    write_json(folder / "best.json", content, exact=True)
    with atomic(folder / "trials.parquet") as temporary:
        table = pa.Table.from_pandas(trials_table(trials), preserve_index=False)
        pq.write_table(table.replace_schema_metadata(None), temporary)
    return content
