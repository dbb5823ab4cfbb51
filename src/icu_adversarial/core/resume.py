"""The folders for checkpoints, which let a failed or stopped run continue.

The stages that compute for a long time use `resumable`.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout

from icu_adversarial.core.io import clear_way, digest, discard

PACKAGE = Path(__file__).parents[1]


def work_key(*parts: bytes | str | Path, rooms: tuple[str, ...] = ()) -> str:
    """A name for a piece of work, made from everything that its result depends on.

    Args:
        parts: Settings, and files whose content counts.
        rooms: Files or folders of this package, for example "attack" or "model/networks". Their
            Python files count.

    Returns:
        16 hexadecimal digits.
    """
    places = [PACKAGE / room for room in rooms]
    files = [f for p in places for f in (sorted(p.rglob("*.py")) if p.is_dir() else [p])]
    return digest(*parts, *files)[:16]


@contextmanager
def resumable(
    stage: str,
    *parts: bytes | str | Path,
    rooms: tuple[str, ...],
    keep: bool = False,
    shared: bool = False,
) -> Iterator[Path]:
    """Reserve the folder for the checkpoints of one piece of work.

    The folder is below DVC_ROOT, which DVC sets to the main repository even in a copy of the
    checkout. Only one process uses it at a time. A second one, as in `dvc queue start --jobs 2`,
    waits, and then continues from what it finds.

    Args:
        stage: The stage that does the work.
        parts: Settings and input files, as for `work_key`.
        rooms: The code that the work depends on, as for `work_key`.
        keep: Whether the folder stays after success. It always stays after a failure.
        shared: Whether several processes may do the work at once, because a server keeps its
            state. There is then no waiting.

    Yields:
        The folder, which need not exist yet. A file in its place is deleted.
    """
    key = work_key(*parts, rooms=rooms)
    root = Path(os.environ.get("DVC_ROOT", ".")) / ".state"
    folder, lock_file = root / stage / key, root / "locks" / f"{stage}_{key}"
    clear_way(lock_file.parent)
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    if lock_file.is_dir():
        discard(lock_file, "is a folder")
    with nullcontext() if shared else _held(lock_file, stage):
        clear_way(folder)
        yield folder
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _held(lock_file: Path, stage: str) -> Iterator[None]:
    """Hold a lock. Print one line if another process has it."""
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        message = f"{stage}: waiting for another run that does the same work (lock {lock_file})"
        print(message, file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
