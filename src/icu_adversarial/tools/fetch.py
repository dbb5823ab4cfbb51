"""PhysioNet → data/raw/NAME: open data sets downloaded and checked, the others explained.

A broken download goes on where it was, from FILE.part. What takes the name FILE has the published SHA-256: whatever a server does (ignore the
range, send another version of the file, stop early), a wrong end or beginning shows there.
"""

import fcntl
import hashlib
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from tqdm import tqdm

from icu_adversarial.core.errors import InputError
from icu_adversarial.tools.next_step import command

SUMS = "SHA256SUMS.txt"  # in every project's folder: a line `HASH  path` per file
ATTEMPTS = 6  # in a row that bring no new byte
LONGEST_PAUSE = 60.0  # seconds between two of them
CHUNK = 1 << 18


class Project(NamedTuple):
    """folder: below https://physionet.org/files; source: for extract.source; files: those that its reader reads."""

    folder: str
    source: str
    files: tuple[str, ...]


CHALLENGE2012 = (
    "set-a.tar.gz",
    "Outcomes-a.txt",
    "set-b.tar.gz",
    "Outcomes-b.txt",
    "set-c.tar.gz",
    "Outcomes-c.txt",
)
MIMICIII = ("PATIENTS.csv", "ADMISSIONS.csv", "ICUSTAYS.csv", "CHARTEVENTS.csv", "LABEVENTS.csv")
MIMICIV = (
    "hosp/patients.csv.gz",
    "hosp/admissions.csv.gz",
    "hosp/labevents.csv.gz",
    "icu/icustays.csv.gz",
    "icu/chartevents.csv.gz",
)
EICU = (
    "patient.csv.gz",
    "lab.csv.gz",
    "nurseCharting.csv.gz",
    "vitalPeriodic.csv.gz",
    "vitalAperiodic.csv.gz",
)
OPEN = {
    "challenge2012": Project("challenge-2012/1.0.0", "challenge2012", CHALLENGE2012),
    "mimiciii-demo": Project("mimiciii-demo/1.4", "mimiciii", MIMICIII),
    "mimic-iv-demo": Project("mimic-iv-demo/2.2", "mimiciv", MIMICIV),
    "eicu-demo": Project("eicu-crd-demo/2.0.1", "eicu", EICU),
}
CREDENTIALED = {
    "mimiciii": Project("mimiciii/1.4", "mimiciii", tuple(f"{file}.gz" for file in MIMICIII)),
    "mimiciv": Project("mimiciv/3.1", "mimiciv", MIMICIV),
    "eicu": Project("eicu-crd/2.0", "eicu", EICU),
}
INSTRUCTIONS = """\
{name} is for credentialed users of PhysioNet. Once:
  1. sign up, then apply for credentials: https://physionet.org/settings/credentialing/
  2. take the training "Data or Specimens Only Research" and upload its report: https://physionet.org/settings/training/
  3. sign the data use agreement at the bottom of https://physionet.org/content/{project.folder}/
Then download the tables that are read, and check them:
  wget -c -x -nH --cut-dirs=3 -P {raw} --user YOUR_NAME --ask-password \\
    {urls}
  (cd {raw} && sha256sum --check --ignore-missing {sums})
Then:
  python src/run.py validate {raw}
  {command}"""


def fetch(name: str, folder: Path, base_url: str, timeout: float = 60.0, pause: float = 1.0) -> str:
    """Download what is not there of the data set `name` into folder/name, check all of it; return what to do next, as text.

    base_url: holds the projects' folders, as https://physionet.org/files does. timeout: seconds without a byte after which a connection counts as
    broken. pause: seconds before the next attempt, doubled after each that brings nothing.
    Credentialed data sets: nothing is downloaded, the text explains how to get them.
    Raises InputError for an unknown name, a server that has not got a file or does not answer, or wrong bytes.
    """
    raw, base_url = folder / name, base_url.rstrip("/")
    if "@" in urlsplit(base_url).netloc:
        raise InputError(
            "--base-url holds a password, which messages would show: write it into ~/.netrc instead"
        )
    if name in CREDENTIALED:
        project = CREDENTIALED[name]
        urls = " \\\n    ".join(
            f"https://physionet.org/files/{project.folder}/{file}"
            for file in (SUMS, *project.files)
        )
        return INSTRUCTIONS.format(
            name=name,
            project=project,
            raw=shlex.quote(str(raw)),
            urls=urls,
            sums=SUMS,
            command=command(project.source, raw),
        )
    if name not in OPEN:
        raise InputError(f"fetch knows {', '.join([*OPEN, *CREDENTIALED])}, not {name}")
    project = OPEN[name]
    raw.mkdir(parents=True, exist_ok=True)
    with _alone(raw), requests.Session() as session:
        pull = partial(_pull, session, timeout=timeout, pause=pause)
        url = f"{base_url}/{project.folder}"
        sums = _published_sums(pull, f"{url}/{SUMS}", raw / SUMS, project.files)
        missing = [
            file
            for file in project.files
            if not ((raw / file).is_file() and _sha256(raw / file) == sums[file])
        ]
        for file in missing:
            _download(pull, f"{url}/{file}", raw / file, sums[file])
    return (
        f"{raw}: {len(project.files)} files with the published SHA-256,"
        f" {len(missing)} of them downloaded now. Next:\n  {command(project.source, raw)}"
    )


@contextmanager
def _alone(raw: Path) -> Iterator[None]:
    """Two processes that append to the same .part would spoil it."""
    handle = os.open(raw, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{raw}: another fetch is at work there: wait for its end") from None
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(handle)


def _published_sums(
    pull: Callable[[str, Path], None], url: str, target: Path, files: tuple[str, ...]
) -> dict[str, str]:
    """Path → SHA-256 from the list in `target`, downloaded if it is not there yet, and kept only if it names all `files`."""
    path = target
    if not target.exists():
        path = target.with_name(f"{SUMS}.part")
        path.unlink(missing_ok=True)
        pull(url, path)
    lines = [
        line.split(maxsplit=1)
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    sums = {
        line[1].lstrip("*"): line[0].lower()
        for line in lines
        if len(line) == 2 and re.fullmatch(r"[0-9a-fA-F]{64}", line[0])
    }
    if missing := [file for file in files if file not in sums]:
        where, advice = (
            (target, "delete it and fetch again") if path == target else (url, "check --base-url")
        )
        raise InputError(
            f"{where}: no SHA-256 of {', '.join(missing)} among its {len(sums)} files: {advice}"
        )
    path.replace(target)
    return sums


def _download(pull: Callable[[str, Path], None], url: str, target: Path, sha256: str) -> None:
    """Continue or begin target.part; name it `target` once it has the hash."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    for _ in range(
        2
    ):  # a wrong hash may come from a .part of another version: once more from its first byte
        if not (part.exists() and _sha256(part) == sha256):
            pull(url, part)
        if _sha256(part) == sha256:
            part.replace(target)
            return
        part.unlink()
    raise InputError(
        f"{url}: twice not the bytes whose SHA-256 stands in {SUMS}: deleted; if it is a new version, delete {SUMS} and fetch again"
    )


def _pull(session: requests.Session, url: str, part: Path, timeout: float, pause: float) -> None:
    """Append to `part` what it lacks, in as many connections as it takes, while every ATTEMPTS of them make it longer."""
    size = longest = _size(part)
    failures = 0
    while True:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
        try:
            with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
                if (
                    response.status_code == 416
                ):  # nothing beyond `size`: the part is complete, or no part of this file
                    return
                if 400 <= response.status_code < 500 and response.status_code not in (408, 429):
                    raise InputError(
                        f"{url}: the server answers {response.status_code} {response.reason}: check --base-url"
                    )
                response.raise_for_status()
                _append(response, part)
                return
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if isinstance(error, ValueError):
                raise InputError(f"--base-url: {error}") from None
            reason = " ".join(str(next(iter(error.args), error)).split())
        size = _size(part)
        failures, longest = (0, size) if size > longest else (failures + 1, longest)
        if failures == ATTEMPTS:
            raise InputError(
                f"{url}: {ATTEMPTS} attempts in a row brought nothing new; a later call goes on from here ({reason})"
            )
        wait = min(pause * 2**failures, LONGEST_PAUSE)
        tqdm.write(f"{part.stem}: broken off ({reason}), again in {wait:g} s", file=sys.stderr)
        time.sleep(wait)


def _append(response: requests.Response, part: Path) -> None:
    """Write the body where it belongs: at the start of its Content-Range, or, when the server ignores ranges, from the first byte."""
    at = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    start = int(at[1]) if response.status_code == 206 and at else 0
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    with (
        part.open("r+b" if part.exists() else "wb") as file,
        tqdm(desc=part.stem, initial=start, total=total, unit="B", unit_scale=True) as progress,
    ):
        file.seek(start)
        file.truncate()
        # read1 gives what has come before a connection breaks; not decoded: a server may declare a .csv.gz as gzip-encoded CSV
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            file.write(chunk)
            progress.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
