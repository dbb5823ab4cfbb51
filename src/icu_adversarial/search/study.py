"""A search that can be stopped, killed and resumed, with the result of an undisturbed search.

The tuning stages and the study nested call it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import optuna
import pyarrow as pa
import pyarrow.parquet as pq
from optuna.trial import FrozenTrial, TrialState

from icu_adversarial.config.base import Block
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import atomic, write_json
from icu_adversarial.core.log import Progress
from icu_adversarial.core.resume import resumable
from icu_adversarial.search.figures import Direction, trials_table
from icu_adversarial.search.journal import ENDED, open_journal
from icu_adversarial.search.server import open_server, server_url
from icu_adversarial.search.shared import run_shared
from icu_adversarial.search.space import decode, encode, suggest

# The code that a study depends on, as rooms of `resumable`. Its figures are not among it.
SEARCH = tuple(f"search/{name}.py" for name in ("space", "journal", "server", "shared", "study"))


Trials = list[FrozenTrial]
Watch = Callable[[Trials], None]  # gets the ended trials of a search while it runs


def unwatched(trials: list[FrozenTrial]) -> None:
    """Do nothing with the ended trials."""


def reserved(
    stage: str, *parts: bytes | str | Path, rooms: tuple[str, ...]
) -> AbstractContextManager[Path]:
    """Reserve the folder of a study, as `resumable` does.

    It stays after success, so that a longer search continues it. On a server, any number of
    processes may work on the study at once.

    Args:
        stage, parts, rooms: As for `resumable`. The code of the search is added to `rooms`.

    Returns:
        A context manager that yields the folder.
    """
    shared = server_url() is not None
    return resumable(stage, *parts, rooms=(*rooms, *SEARCH), keep=True, shared=shared)


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
    watch: Watch = unwatched,
) -> list[FrozenTrial]:
    """Run until `trials` trials have ended, complete or pruned. Those in the storage count.

    The storage is a journal in `state`, or the server that ICU_STUDY_STORAGE names.

    With a journal, the sampler is seeded with the seed plus the number of ended trials before each
    trial. A study that continues after a kill or a damage to its journal therefore draws what an
    undisturbed study draws. On a server, several workers run trials at once, and each draws from
    what it knows: such a study cannot be repeated trial by trial.

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
    known = encode(first, space) if first else None

    def objective(trial: optuna.Trial) -> float:
        return evaluate(trial, suggest(trial, space))

    url = server_url()
    if url is None:
        study = open_journal(state, direction, pruner)
    else:
        name = "/".join(state.parts[-2:])  # the stage and the key of the work
        study = open_server(url, name, known, direction=direction, pruner=pruner)
    done = min(len(study.get_trials(deepcopy=False, states=ENDED)), trials)
    with Progress("search", trials, "trial", done) as progress:

        def show(found: list[FrozenTrial]) -> None:
            watch(found)
            if len(found) > progress.done:
                progress.step(_in_words(found, direction), len(found) - progress.done)

        if url is not None:
            return run_shared(study, objective, trials, seed, show)
        _run_alone(study, objective, trials, seed, known, show)
    return study.get_trials(deepcopy=False, states=ENDED)[:trials]


def _run_alone(
    study: optuna.Study,
    objective: Callable[[optuna.Trial], float],
    trials: int,
    seed: int,
    known: dict[str, Any] | None,
    show: Watch,
) -> None:
    """Run the trials that a journal lacks."""
    found = study.get_trials(deepcopy=False, states=ENDED)
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    if known and not found and not waiting:
        study.enqueue_trial(known)
    show(found[:trials])
    while len(found) < trials:
        study.sampler = optuna.samplers.TPESampler(seed=(seed + len(found)) % 2**32)
        study.optimize(objective, n_trials=1)
        found = study.get_trials(deepcopy=False, states=ENDED)
        show(found)


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
