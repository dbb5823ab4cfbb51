"""What runs, how far it is and how long it takes, from the files in logs/. The command `watch`.

It only reads files. So it can be started later or elsewhere, and closed at any time.
"""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import get_terminal_size
from typing import NamedTuple

import typer

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.log import LOGS

SECONDS = 2.0  # between two pictures
CLEAR = "\x1b[2J\x1b[H"  # empties a terminal
COPIES = ".dvc/tmp/exps/*"  # where DVC runs queued experiments
HEAD = f"{'log':<25}{'state':<10}{'left':>8}{'last line':>12}  progress"
EVENT = re.compile(r"\S+ \w+: (started|finished|stopped)(?: \((\w+)\))?")
# As core.log.Progress and the modules below it write: trial 2/3, value 0.6, best 0.2, 00:13 left
STEP = re.compile(r"\S+ \w+: (\w+ \d+(?:/\d+)?)(?:, (.*?))??(?:, ([\d:]+) left)?")
BEST = re.compile(r"\bbest -?[\d.e+-]+")


class Work(NamedTuple):
    """The last run of one log.

    Attributes:
        name: The stage, and its option if it has one.
        state: runs, finished or stopped. A run that was killed with SIGKILL still has runs.
        ago: Seconds since the last line.
        left: Seconds that are left, as far as the log tells.
        progress: The latest steps in words.
    """

    name: str
    state: str
    ago: float
    left: float | None
    progress: str


def read_log(file: Path, now: float) -> Work | None:
    """Read the last run of a log.

    Args:
        file: A file of `core.log.logged`.
        now: Seconds since 1970.

    Returns:
        What it tells; None if it holds no line of a run.
    """
    ago = max(now - file.stat().st_mtime, 0.0)
    state, outer, inner, left = "", "", "", None
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if event := EVENT.fullmatch(line):
            state = {"started": "runs"}.get(event[1], event[1])
            if state == "runs":
                outer, inner, left = "", "", None
            elif event[2]:
                inner = event[2]
        elif step := STEP.fullmatch(line):
            if step[3]:  # a whole unit of the work
                outer, inner, left = ", ".join(filter(None, step.groups()[:2])), "", step[3]
            else:
                best = BEST.search(outer)
                outer = f"{outer.split(',')[0]}{f', {best[0]}' if best else ''}"
                inner = ", ".join(filter(None, step.groups()[:2]))
    if not state:
        return None
    text = "; ".join(filter(None, (outer, inner)))
    until = None if left is None or state != "runs" else max(_seconds(left) - ago, 0.0)
    return Work(file.stem, state, ago, until, text)


def picture(folder: Path, now: float, width: int | None) -> Iterator[str]:
    """Show all runs of a checkout and of the queued experiments in its copies.

    Args:
        folder: The root of the repository.
        now: Seconds since 1970.
        width: Characters of a line, at most; None: as many as needed.

    Returns:
        A line for each log. Those that run are last.

    Raises:
        InputError: There is no log.
    """
    found = {
        place: [
            work for file in sorted((place / LOGS).glob("*.log")) if (work := read_log(file, now))
        ]
        for place in (folder, *sorted(folder.glob(COPIES)))
    }
    if not any(found.values()):
        raise InputError(
            f"{folder / LOGS} holds no log: name the root of a repository with --folder"
        )
    yield f"{time.strftime('%H:%M:%S', time.localtime(now))} {folder.resolve()}"
    yield HEAD[:width]
    for place, works in found.items():
        if place != folder and works:
            yield f"copy {place.name}"
        for work in sorted(works, key=lambda w: (w.state == "runs", -w.ago)):
            left = "" if work.left is None else _clock(work.left)
            age = f"{_clock(work.ago)} ago"
            line = f"{work.name:<25}{work.state:<10}{left:>8}{age:>12}  {work.progress}"
            yield line[:width].rstrip()


def watch(folder: Path, once: bool) -> None:
    """Print pictures until Ctrl-C, or one picture.

    Args:
        folder: The root of the repository.
        once: Whether to stop after one. It also stops where standard output is no terminal.
    """
    while True:
        live = sys.stdout.isatty()
        width = get_terminal_size().columns if live else None
        lines = list(picture(folder, time.time(), width))
        if once or not live:
            typer.echo("\n".join(lines))
            return
        lines += ["", "Ctrl-C closes this view. The run goes on."]
        typer.echo("\n".join([CLEAR, *lines]))
        try:
            time.sleep(SECONDS)
        except KeyboardInterrupt:
            return


def _seconds(clock: str) -> float:
    """Seconds of 02:10 or 1:02:10."""
    total = 0
    for part in clock.split(":"):
        total = 60 * total + int(part)
    return float(total)


def _clock(seconds: float) -> str:
    """Minutes and seconds, and hours if there are any."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
