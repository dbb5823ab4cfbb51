"""Work on a study together with other processes, until it has all its trials.

`study` calls it for a study on a server.

The numbers of trials rise in the order in which trials begin. A trial is run only if fewer than N
trials with smaller numbers have not failed. So exactly N trials end, with any number of workers.
"""

import copy
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from icu_adversarial.core.errors import InputError
from icu_adversarial.search.journal import ENDED
from icu_adversarial.search.server import fail_silent, try_again

LOGGER = logging.getLogger(__name__)
POLL = 2  # seconds between two looks at the trials of others
WORKER = "worker"  # the user attribute that names the process of a trial


class SurplusError(Exception):
    """Enough trials began before this one."""


class NumberedSampler(optuna.samplers.TPESampler):
    """Draws with the seed plus the number of the trial, so that no two workers draw the same.

    With one worker these are the trials of the journal.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, constant_liar=True)
        self.seed = seed

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Start the random numbers of a trial."""
        super().__init__(seed=(self.seed + trial.number) % 2**32, constant_liar=True)
        super().before_trial(study, trial)


class Attempt:
    """One trial of this worker, for `Study.optimize`."""

    def __init__(
        self, study: Study, objective: Callable[[optuna.Trial], float], trials: int, worker: str
    ) -> None:
        self.study, self.objective, self.trials, self.worker = study, objective, trials, worker
        self.number: int | None = None
        self.error: BaseException | None = None

    def __call__(self, trial: optuna.Trial) -> float:
        self.number = trial.number
        try:
            before = _alive(self.study)
            if sum(other.number < trial.number for other in before) >= self.trials:
                raise SurplusError
            trial.set_user_attr(WORKER, self.worker)
            return self.objective(trial)
        except BaseException as error:
            self.error = error
            raise

    def run(self) -> None:
        """Run a trial. One that others have given up as silent is given up here too."""
        try:
            self.study.optimize(self, n_trials=1, catch=(SurplusError,))
        except BaseException as error:
            own = self.error is not None and not isinstance(self.error, UpdateFinishedTrialError)
            if (refusal := _input_error(error)) is not None:
                raise refusal from None
            if self.number is None:
                raise
            with suppress(InputError):
                trial = self.study.trials[self.number]
                if not own and trial.state.is_finished():
                    LOGGER.info("search: others did not hear of trial %d in time", trial.number)
                    return
                if trial.state == TrialState.FAIL:
                    try_again(self.study, trial)
            raise


def _input_error(error: BaseException | None) -> InputError | None:
    """The error of a server that stays away, which Optuna hides behind errors of its own."""
    while error is not None and not isinstance(error, InputError):
        error = error.__context__
    return error


def run_shared(
    study: Study,
    objective: Callable[[optuna.Trial], float],
    trials: int,
    seed: int,
    watch: Callable[[list[FrozenTrial]], None],
) -> list[FrozenTrial]:
    """Run trials, and wait for those of others, until the first `trials` trials have ended.

    Args:
        study: On a server.
        objective: Returns the value of a trial.
        trials: How many trials must have ended.
        seed: Seed of the sampler.
        watch: Gets the ended trials each time when there are more of them. It gets a trial only
            after all trials that began earlier, so the list only grows at its end.

    Returns:
        These trials in order. The user attribute `worker` is the number of the worker, from 0 in
        the order of their first trials.
    """
    study.sampler, worker, shown = NumberedSampler(seed), uuid.uuid4().hex[:12], -1
    while True:
        fail_silent(study)
        alive = _alive(study)
        ended = _ended(alive)[:trials]
        if len(ended) > shown:
            shown = len(ended)
            watch(ended)
        if len(ended) >= trials:
            return ended
        if sum(trial.state != TrialState.WAITING for trial in alive) < trials:
            Attempt(study, objective, trials, worker).run()
        else:
            time.sleep(POLL)


def count_workers(trials: list[FrozenTrial]) -> int:
    """Count the workers that ran these trials; 1 for a journal, 0 without a trial."""
    return len({trial.user_attrs.get(WORKER, 0) for trial in trials})


def _alive(study: Study) -> list[FrozenTrial]:
    """The trials that have not failed, in order."""
    return [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.FAIL]


def _ended(alive: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials before the first one that has not ended, with their workers numbered."""
    ended: list[FrozenTrial] = []
    workers: dict[str, int] = {}
    for trial in alive:
        if trial.state not in ENDED:
            break
        own = copy.copy(trial)
        name = str(trial.user_attrs[WORKER])
        own.user_attrs = {**trial.user_attrs, WORKER: workers.setdefault(name, len(workers))}
        ended.append(own)
    return ended
