"""What a run says while it works: a progress bar on a terminal, a plain line now and then
elsewhere, and every line in logs/STAGE.log.

The command line opens the log with `logged`. A loop reports its steps to a `Progress`. Other
modules log with `logging.getLogger(__name__)`: at level DEBUG, a line goes to the file alone. No
line may contain data of a patient.
"""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import get_terminal_size
from time import monotonic
from typing import Any, TypeVar

from tqdm import tqdm

LOGS = Path("logs")
SECONDS = 10.0  # between two plain lines
LOGGER = logging.getLogger("icu_adversarial")
Item = TypeVar("Item")


class Seldom(logging.Filter):
    """Passes a record only if the last one that passed is at least SECONDS old."""

    def __init__(self) -> None:
        super().__init__()
        self.due = monotonic()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record may pass."""
        now = monotonic()
        passes = now >= self.due
        if passes:
            self.due = now + SECONDS
        return passes


@contextmanager
def logged(name: str) -> Iterator[None]:
    """Append every line that the code inside logs to logs/NAME.log.

    Each line begins with the time of day. The first line of a run says that it started, the last
    one how it ended. Where standard error is not a terminal, it gets a line at most every SECONDS.

    Args:
        name: The stage, and its option if it has one: `attack_sparse_small`.
    """
    LOGS.mkdir(exist_ok=True)
    file, plain = (
        logging.FileHandler(LOGS / f"{name}.log", encoding="utf-8"),
        logging.StreamHandler(),
    )
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    plain.addFilter(Seldom())
    plain.setLevel(logging.INFO)
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(file)
    LOGGER.info("%s: started", name)
    if not sys.stderr.isatty():
        LOGGER.addHandler(plain)
    try:
        yield
        LOGGER.info("%s: finished", name)
    except BaseException as error:
        LOGGER.info("%s: stopped (%s)", name, type(error).__name__)
        raise
    finally:
        LOGGER.removeHandler(plain)
        LOGGER.removeHandler(file)
        file.close()


class Progress:
    """The steps of a loop: each one moves the bar of a terminal and logs a line."""

    def __init__(self, name: str, total: int | None, unit: str, done: int = 0) -> None:
        """Show the bar.

        Args:
            name: The work, for example "train".
            total: The number of units; None if it is unknown.
            unit: What is counted, for example "trial".
            done: Units that an earlier run has finished.
        """
        self.name, self.total, self.unit, self.done = name, total, unit, done
        self.first, self.start = done, monotonic()
        # tqdm itself shows nothing on a terminal whose size is unknown.
        width, height = get_terminal_size()
        # disable=None: no bar where standard error is not a terminal.
        shape: dict[str, Any] = {"ncols": width, "nrows": height, "disable": None}
        self.bar = tqdm(desc=name, total=total, unit=unit, initial=done, **shape)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def step(self, text: str = "", units: int = 1) -> None:
        """Count finished units.

        Args:
            text: The latest loss and score, for example "held-out loss 0.41, AUROC 0.83".
            units: How many units this step finished.
        """
        self.done += units
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(units)
        of, left = "", ""
        if self.total is not None:
            each = (monotonic() - self.start) / max(self.done - self.first, 1)
            of = f"/{self.total}"
            left = f"{tqdm.format_interval(each * (self.total - self.done))} left"
        parts = (f"{self.name}: {self.unit} {self.done}{of}", text, left)
        LOGGER.info("%s", ", ".join(part for part in parts if part))


def follow(items: Iterable[Item], name: str, unit: str) -> Iterator[Item]:
    """Yield the items; each one that the caller is done with is a step of a `Progress`."""
    with Progress(name, None, unit) as progress:
        for item in items:
            yield item
            progress.step()
