"""The default storage of a study: a journal, which is a file on a local disk.

`study` opens it. The file must not be on a network share: neither the lock nor the order of its
lines is certain there. Several machines share a study on a database (`server`).
"""

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import TrialState

from icu_adversarial.core.io import clear_way, discard
from icu_adversarial.search.figures import Direction

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


def open_journal(
    state: Path, direction: Direction, pruner: optuna.pruners.BasePruner
) -> optuna.Study:
    """Open or create the study in a folder. A warning says so if its journal is damaged.

    Args:
        state: The folder.
        direction: Whether a smaller or a larger value is better.
        pruner: Decides which trials end early.

    Returns:
        The study. Trials that were running when a process ended are marked as failed.
    """
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
