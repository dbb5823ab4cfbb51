"""Download open data sets of PhysioNet into data/raw/NAME, and explain how to get the others.

The library pooch checks every file against the published SHA-256, tries again after an error, and
gives a file its name only when it is complete. pooch cannot continue a broken download. `Resume`
does that, with the file FILE.part. Only the files that a reader reads are downloaded.
"""

import shlex
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pooch
import requests
from filelock import FileLock, Timeout
from tqdm import tqdm

from icu_adversarial.core.errors import InputError
from icu_adversarial.tools.next_step import command

SUMS = "SHA256SUMS.txt"  # in every project's folder: a line `HASH  path` per file
RETRIES = 5  # per call and file; pooch waits 1, 2, 3, ... seconds between them
CHUNK = 1 << 16  # bytes per read; a broken connection loses at most one chunk
TRY_AGAIN = (408, 429)  # HTTP errors of the 400s that may pass: timeout, too many requests


class Project(NamedTuple):
    """A data set of PhysioNet.

    folder: Its place below https://physionet.org/files.
    source: The value of extract.source.
    files: The files that the reader of the source reads.
    """

    folder: str
    source: str
    files: tuple[str, ...]


CHALLENGE2012 = tuple(file for s in "abc" for file in (f"set-{s}.tar.gz", f"Outcomes-{s}.txt"))
MIMICIII = (
    *("PATIENTS.csv", "ADMISSIONS.csv", "ICUSTAYS.csv"),
    *("CHARTEVENTS.csv", "LABEVENTS.csv", "OUTPUTEVENTS.csv"),
)
MIMICIV = (
    "hosp/patients.csv.gz",
    "hosp/admissions.csv.gz",
    "hosp/labevents.csv.gz",
    "icu/icustays.csv.gz",
    "icu/chartevents.csv.gz",
    "icu/outputevents.csv.gz",
)
EICU = (
    "patient.csv.gz",
    "lab.csv.gz",
    "nurseCharting.csv.gz",
    "vitalPeriodic.csv.gz",
    "vitalAperiodic.csv.gz",
    "respiratoryCharting.csv.gz",
    "intakeOutput.csv.gz",
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
{name} is only for credentialed users of PhysioNet. Do this once:
  1. Sign up and apply for credentials: https://physionet.org/settings/credentialing/
  2. Take the training "Data or Specimens Only Research" and upload its report:
     https://physionet.org/settings/training/
  3. Sign the data use agreement at the bottom of https://physionet.org/content/{project.folder}/
Then download the tables that the pipeline reads, and check them:
  wget -c -x -nH --cut-dirs=3 -P {raw} --user YOUR_NAME --ask-password \\
    {urls}
  (cd {raw} && sha256sum --check --ignore-missing {sums})
Next:
  python src/run.py validate {raw}
  {command}"""


def fetch(name: str, folder: Path, base_url: str, timeout: float = 60.0) -> str:
    """Download what is missing of a data set, and check all of it.

    Args:
        name: A key of OPEN or CREDENTIALED.
        folder: The files are written to folder/name.
        base_url: The web folder of all projects, as https://physionet.org/files.
        timeout: Seconds without a byte after which a connection counts as broken.

    Returns:
        Text for the user: what to do next. For a credentialed data set nothing is downloaded, and
        the text explains how to get it.

    Raises:
        InputError: The name is unknown, the server does not have a file or does not answer, or
            the bytes of a file are not the published ones.
    """
    address = urlsplit(base_url)
    if "@" in address.netloc:
        raise InputError(
            "--base-url contains a password, which messages would show: put it in ~/.netrc"
        )
    if address.scheme not in ("http", "https"):
        raise InputError("--base-url must begin with https:// or http://")
    raw = folder / name
    if name in CREDENTIALED:
        return _instructions(name, raw)
    if name not in OPEN:
        raise InputError(f"fetch knows {', '.join([*OPEN, *CREDENTIALED])}, not {name}")
    project = OPEN[name]
    raw.mkdir(parents=True, exist_ok=True)
    store = pooch.create(
        path=raw,
        base_url=f"{base_url.rstrip('/')}/{project.folder}/",
        registry={SUMS: None},
        retry_if_failed=RETRIES,
    )
    try:
        with FileLock(folder / f".{name}.lock", timeout=0):
            _download(store, SUMS, timeout)
            store.registry |= _published_sums(raw / SUMS, project.files)
            for file in project.files:
                _download(store, file, timeout)
    except Timeout:
        raise InputError(f"{raw}: another fetch is running there: wait until it ends") from None
    return (
        f"{raw}: {len(project.files)} files with the published SHA-256. Next:\n"
        f"  {command(project.source, raw)}"
    )


class Resume:
    """A downloader for pooch that continues an earlier download.

    Args:
        part: The file that keeps the bytes until the download is complete.
        timeout: Seconds without a byte after which a connection counts as broken.
    """

    def __init__(self, part: Path, timeout: float) -> None:
        self.part, self.timeout = part, timeout

    def __call__(self, url: str, output_file: str, store: Any, check_only: bool = False) -> None:
        """Write the content of `url` to `output_file`. pooch calls this.

        Raises:
            InputError: The server refuses the file, so trying again is useless.
            requests.RequestException: The connection broke. What has arrived stays in `part`.
        """
        have = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={have}-"}
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
            code = response.status_code
            if code == 416:  # the server has nothing after these bytes
                self.part.touch()
            else:
                if 400 <= code < 500 and code not in TRY_AGAIN:
                    raise InputError(
                        f"{url}: the server answers {code} {response.reason}: check --base-url"
                    )
                response.raise_for_status()
                self._append(response, have if code == 206 else 0)
        self.part.replace(output_file)

    def _append(self, response: requests.Response, start: int) -> None:
        """Write the body behind the first `start` bytes of the part."""
        # Some servers declare a .csv.gz as compressed text. requests would decompress it.
        response.raw.headers.pop("Content-Encoding", None)
        total = start + int(response.headers.get("Content-Length", 0)) or None
        with (
            self.part.open("ab" if start else "wb") as file,
            tqdm(desc=self.part.stem, initial=start, total=total, unit="B", unit_scale=True) as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))


def _instructions(name: str, raw: Path) -> str:
    project = CREDENTIALED[name]
    base = f"https://physionet.org/files/{project.folder}"
    return INSTRUCTIONS.format(
        name=name,
        project=project,
        raw=shlex.quote(str(raw)),
        urls=" \\\n    ".join(f"{base}/{file}" for file in (SUMS, *project.files)),
        sums=SUMS,
        command=command(project.source, raw),
    )


def _download(store: pooch.Pooch, file: str, timeout: float) -> None:
    part = store.abspath / f"{file}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        store.fetch(file, downloader=Resume(part, timeout))
    except requests.RequestException as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{store.get_url(file)}: {RETRIES + 1} attempts failed ({reason}): run the command"
            " again, it continues where it stopped"
        ) from None
    except ValueError:
        raise InputError(
            f"{store.get_url(file)}: the bytes do not have the SHA-256 in {SUMS}, so they were"
            f" deleted: if the data set has a new version, delete {store.abspath / SUMS} and run"
            " the command again"
        ) from None


def _published_sums(path: Path, files: tuple[str, ...]) -> dict[str, str]:
    """The SHA-256 of each file, from the list of the data set. A list without one is deleted."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines if len(line.split(maxsplit=1)) == 2]
    sums = {file.lstrip("*"): value.lower() for value, file in pairs if len(value) == 64}
    if missing := [file for file in files if file not in sums]:
        path.unlink()
        raise InputError(
            f"{path} has no SHA-256 of {', '.join(missing)}, so it was deleted: check --base-url"
        )
    return {file: sums[file] for file in files}
