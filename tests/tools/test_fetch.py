import gzip
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from literature_set import MEASUREMENTS
from typer.testing import CliRunner

from icu_adversarial.cli import app
from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.sources import mimic3
from icu_adversarial.tools.fetch import CHUNK, CREDENTIALED, OPEN, RETRIES, SUMS, fetch

NAME = "mimic-iv-demo"
BIG = "icu/chartevents.csv.gz"
ROOT = Path(__file__).parents[2]


class Server(ThreadingHTTPServer):
    """Serves `files`. The next requests for a path do what `script` says.

    A step is a status, "ok", "no range", "wrong", "declared as gzip", "drop", or
    ("break" | "stall", number of bytes that are still sent).
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.log, self.script = files, [], {}  # type: ignore[var-annotated]
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def asked(self, file: str) -> list[int]:
        """The first byte of every request for `file`."""
        return [start for path, start in self.log if path.endswith("/" + file)]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        self.server.log.append((path, start))
        steps = self.server.script.get(path.rpartition("/")[2], [])
        step = steps.pop(0) if steps else "ok"
        if step == "drop":
            return
        body = self.server.files.get(path)
        if isinstance(step, int) or body is None:
            self.send_error(step if isinstance(step, int) else 404)
            return
        kind, length = step if isinstance(step, tuple) else (step, len(body))
        if kind in ("no range", "wrong"):
            start = 0
            self.send_response(200)
        else:
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if kind == "wrong":
            body = body[:-1] + b"!"
        if kind == "declared as gzip":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : start + length])
        if kind == "stall":
            self.server.over.wait()


def published(name: str, contents: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a server: those of a project and their sums."""
    folder = OPEN[name].folder
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {file}\n" for file, content in contents.items()
    )
    return {
        f"/{folder}/{file}": content for file, content in {**contents, SUMS: sums.encode()}.items()
    }


CONTENTS = {file: f"{file} ".encode() * 100 for file in OPEN[NAME].files} | {
    BIG: gzip.compress(np.random.default_rng(0).bytes(300_000), mtime=0)
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda seconds: None))
    with Server(published(NAME, CONTENTS)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def get(server: Server, folder: Path) -> str:
    return fetch(NAME, folder, server.url, timeout=0.3)


def files(folder: Path) -> dict[str, bytes]:
    """The files of the data set without the list of sums and without parts."""
    raw = folder / NAME
    found = {str(f.relative_to(raw)): f.read_bytes() for f in raw.rglob("*") if f.is_file()}
    return {
        name: content
        for name, content in found.items()
        if name != SUMS and not name.endswith(".part") and not name.startswith("icu/tmp")
    }


def test_all_files_arrive_and_a_second_call_downloads_nothing(
    server: Server, tmp_path: Path
) -> None:
    text = get(server, tmp_path)
    assert text.endswith(f"dvc exp run -S extract.source=mimiciv -S extract.raw={tmp_path / NAME}")
    assert files(tmp_path) == CONTENTS
    assert not list(tmp_path.rglob("*.part"))
    requests = len(server.log)
    assert requests == 1 + len(CONTENTS)
    get(server, tmp_path)
    assert len(server.log) == requests


@pytest.mark.parametrize(
    ("steps", "starts"),
    [
        ([("break", 2 * CHUNK)], [0, 2 * CHUNK]),
        ([("break", 2 * CHUNK), ("break", CHUNK), "drop"], [0, 2 * CHUNK, 3 * CHUNK, 3 * CHUNK]),
        ([("stall", CHUNK)], [0, CHUNK]),
        ([("break", CHUNK), "no range"], [0, CHUNK]),
        ([500, 429, "drop"], [0, 0, 0, 0]),
        ([("break", CHUNK), "declared as gzip"], [0, CHUNK]),
        (["wrong"], [0, 0]),
    ],
)
def test_a_bad_connection_costs_only_what_is_missing(
    server: Server, tmp_path: Path, steps: list[object], starts: list[int]
) -> None:
    server.script["chartevents.csv.gz"] = steps
    get(server, tmp_path)
    assert files(tmp_path) == CONTENTS
    assert server.asked(BIG) == starts


@pytest.mark.parametrize(
    ("part", "starts"),
    [
        (CONTENTS[BIG][:123_456], [123_456]),
        (CONTENTS[BIG], [len(CONTENTS[BIG])]),
        (CONTENTS[BIG] + b"more", [len(CONTENTS[BIG]) + 4, 0]),
        (b"an earlier version", [18, 0]),
        (b"", [0]),
    ],
    ids=["a beginning", "complete", "longer than the file", "of another version", "empty"],
)
def test_the_part_of_an_earlier_call(
    server: Server, tmp_path: Path, part: bytes, starts: list[int]
) -> None:
    path = tmp_path / NAME / f"{BIG}.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(part)
    get(server, tmp_path)
    assert files(tmp_path) == CONTENTS
    assert server.asked(BIG) == starts
    assert not path.exists()


@pytest.mark.parametrize(
    ("file", "steps", "message"),
    [
        (BIG, [404], "chartevents.csv.gz: the server answers 404 Not Found"),
        (BIG, ["wrong"] * (RETRIES + 1), "do not have the SHA-256 in SHA256SUMS.txt"),
        (BIG, [("break", CHUNK)] + [500] * RETRIES, f"{RETRIES + 1} attempts failed"),
        (BIG, [("stall", 0)] * (RETRIES + 1), "Read timed out"),
        (SUMS, [404], "SHA256SUMS.txt: the server answers 404"),
    ],
)
def test_a_failure_is_reported_in_one_line_and_a_later_call_continues(
    server: Server, tmp_path: Path, file: str, steps: list[object], message: str
) -> None:
    server.script[file.rpartition("/")[2]] = steps
    with pytest.raises(InputError, match=message) as error:
        get(server, tmp_path)
    assert "\n" not in str(error.value)
    assert BIG not in files(tmp_path)
    get(server, tmp_path)
    assert files(tmp_path) == CONTENTS
    if 500 in steps:
        assert server.asked(BIG)[-1] == CHUNK


@pytest.mark.parametrize(
    ("sums", "message"),
    [
        (b"<html>Sign in to the hospital's network</html>", "no SHA-256 of hosp/patients"),
        (b"0" * 64 + b"  hosp/patients.csv.gz\n", r"no SHA-256 of hosp/admissions\.csv\.gz, "),
    ],
)
def test_a_list_of_sums_without_a_file_is_deleted(
    server: Server, tmp_path: Path, sums: bytes, message: str
) -> None:
    path = f"/{OPEN[NAME].folder}/{SUMS}"
    whole, server.files[path] = server.files[path], sums
    with pytest.raises(InputError, match=message):
        get(server, tmp_path)
    server.files[path] = whole
    get(server, tmp_path)
    assert files(tmp_path) == CONTENTS


def test_sums_with_one_blank_or_the_mark_of_binary_files_are_read(
    server: Server, tmp_path: Path
) -> None:
    path = f"/{OPEN[NAME].folder}/{SUMS}"
    server.files[path] = server.files[path].replace(b"  hosp", b" hosp").replace(b"  icu", b" *icu")
    get(server, tmp_path)
    assert files(tmp_path) == CONTENTS


def test_only_a_damaged_file_is_downloaded_again(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path)
    (tmp_path / NAME / "hosp" / "patients.csv.gz").write_bytes(b"damaged")
    requests = len(server.log)
    get(server, tmp_path)
    assert files(tmp_path) == CONTENTS
    assert [path for path, _ in server.log[requests:]] == [
        f"/{OPEN[NAME].folder}/hosp/patients.csv.gz"
    ]


STEPS = st.lists(
    st.sampled_from(["ok", "no range", "wrong", "declared as gzip", "drop", 500, 503, 404])
    | st.tuples(st.just("break"), st.integers(0, 350_000)),
    max_size=10,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, sums_steps=st.lists(st.sampled_from(["drop", 500, ("break", 10)]), max_size=3))
def test_no_wrong_byte_gets_a_final_name(
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[object],
    sums_steps: list[object],
) -> None:
    folder = tmp_path_factory.mktemp("raw")
    server.script = {"chartevents.csv.gz": list(steps), SUMS: list(sums_steps)}
    try:
        get(server, folder)
    except InputError:
        assert files(folder).items() <= CONTENTS.items()
    server.script = {}
    get(server, folder)
    assert files(folder) == CONTENTS


def test_a_killed_download_is_continued_and_a_second_fetch_is_refused(
    server: Server, tmp_path: Path
) -> None:
    server.script["chartevents.csv.gz"] = [("stall", 3 * CHUNK)]
    code = (
        "import pathlib; from icu_adversarial.tools.fetch import fetch;"
        f" fetch({NAME!r}, pathlib.Path({str(tmp_path)!r}), {server.url!r})"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    part = tmp_path / NAME / f"{BIG}.part"
    while not part.exists() or part.stat().st_size < CHUNK:
        assert child.poll() is None
        server.over.wait(0.01)
    with pytest.raises(InputError, match="another fetch is running"):
        get(server, tmp_path)
    child.kill()
    child.wait()
    assert BIG not in files(tmp_path)
    had = part.stat().st_size
    get(server, tmp_path)
    assert files(tmp_path) == CONTENTS
    assert server.asked(BIG) == [0, had]


@pytest.mark.parametrize("name", CREDENTIALED)
def test_credentialed_data_are_explained_not_downloaded(
    server: Server, tmp_path: Path, name: str
) -> None:
    text = fetch(name, tmp_path, server.url)
    assert text.endswith(f"dvc exp run -S extract.source={name} -S extract.raw={tmp_path / name}")
    assert all(
        f"https://physionet.org/files/{CREDENTIALED[name].folder}/{file}" in text
        for file in (SUMS, *CREDENTIALED[name].files)
    )
    assert not server.log
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "base_url", "message"),
    [
        ("mimiciv-demo", "http://localhost", "fetch knows challenge2012, .*, not mimiciv-demo"),
        (NAME, "https://me:secret@localhost/files", "contains a password"),
        (NAME, "physionet.org/files", "--base-url must begin with https://"),
        (NAME, "http://127.0.0.1:1/files", "attempts failed"),
    ],
)
@pytest.mark.usefixtures("server")
def test_impossible_requests(tmp_path: Path, name: str, base_url: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        fetch(name, tmp_path, base_url)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_the_command_writes_below_data_raw_and_prints_the_next_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["fetch", NAME], env={"PHYSIONET_BASE_URL": server.url + "/"})
    assert done.exit_code == 0, done.output
    assert (
        done.stdout.splitlines()[-1].strip()
        == f"dvc exp run -S extract.source=mimiciv -S extract.raw=data/raw/{NAME}"
    )
    assert files(tmp_path / "data" / "raw") == CONTENTS


def test_the_real_demo_with_its_published_sums(
    server: Server, tmp_path: Path, mimic_demo: Path
) -> None:
    project = OPEN["mimiciii-demo"]
    server.files = {
        f"/{project.folder}/{file}": gzip.decompress((mimic_demo / f"{file}.gz").read_bytes())
        for file in project.files
    }
    server.files[f"/{project.folder}/{SUMS}"] = (
        mimic_demo / "SHA256SUMS.original-csv.txt"
    ).read_bytes()
    server.script = {"CHARTEVENTS.csv": [("break", 10_000_000)]}
    fetch("mimiciii-demo", tmp_path, server.url)
    stays, events, *_ = mimic3.read(tmp_path / "mimiciii-demo", 48, MEASUREMENTS)
    assert len(stays) == 136
    assert sum(batch.num_rows for batch in events) > 20_000
