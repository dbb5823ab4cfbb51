import gzip
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from icu_adversarial.cli import app
from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.sources import mimic3
from icu_adversarial.measurements import MEASUREMENTS
from icu_adversarial.tools.fetch import ATTEMPTS, CREDENTIALED, OPEN, SUMS, fetch

NAME = "mimic-iv-demo"
BIG = "icu/chartevents.csv.gz"
ROOT = Path(__file__).parents[2]


class Server(ThreadingHTTPServer):
    """Serves `files`; the next requests for a path do what `script` says: a status, "ok", "no range", "wrong", "declared as gzip",
    "drop", or ("break" | "break from the first byte" | "stall", number of bytes that still come)."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.log, self.script = files, [], {}  # type: ignore[var-annotated]
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def asked(self, file: str) -> list[str | None]:
        """The Range header of every request for `file`."""
        return [asked for path, asked in self.log if path.endswith("/" + file)]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        asked = self.headers.get("Range")
        self.server.log.append((path, asked))
        steps = self.server.script.get(path.rpartition("/")[2], [])
        step = steps.pop(0) if steps else "ok"
        if step == "drop":
            return
        body = self.server.files.get(path)
        if isinstance(step, int) or body is None:
            self.send_error(step if isinstance(step, int) else 404)
            return
        kind, length = step if isinstance(step, tuple) else (step, len(body))
        start = 0
        if asked and kind not in ("no range", "wrong", "break from the first byte"):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
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
    """What a server holds: the files of a project and their sums."""
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
def server() -> Iterator[Server]:
    with Server(published(NAME, CONTENTS)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def get(server: Server, folder: Path) -> str:
    return fetch(NAME, folder, server.url, timeout=0.3, pause=0.005)


def files(folder: Path) -> dict[str, bytes]:
    """All that lies in the folder of the data set, but the sums and what is called .part."""
    raw = folder / NAME
    found = {str(f.relative_to(raw)): f.read_bytes() for f in raw.rglob("*") if f.is_file()}
    return {
        name: content
        for name, content in found.items()
        if name != SUMS and not name.endswith(".part")
    }


def test_all_files_arrive_and_a_second_call_asks_for_nothing(
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
    ("steps", "ranges"),
    [
        ([("break", 100_000)], [None, "bytes=100000-"]),
        (
            [("break", 10_000), ("break", 90_000), ("break", 1)],
            [None, "bytes=10000-", "bytes=100000-", "bytes=100001-"],
        ),
        ([("stall", 70_001)], [None, "bytes=70001-"]),
        ([("break", 100_000), "no range"], [None, "bytes=100000-"]),
        (
            [("break", 100_000), ("break", 50_000), "drop", 503],
            [None, "bytes=100000-", "bytes=150000-", "bytes=150000-", "bytes=150000-"],
        ),
        ([500, 429, "drop"], [None] * 4),
        ([("break", 100_000), "declared as gzip"], [None, "bytes=100000-"]),
        (
            [("break", 1000 * n) for n in range(1, 2 * ATTEMPTS)],
            None,
        ),  # however often, as long as each connection brings something
        (["wrong"], [None, None]),
    ],
)
def test_a_bad_connection_costs_only_what_is_missing(
    server: Server, tmp_path: Path, steps: list[object], ranges: list[str | None] | None
) -> None:
    server.script["chartevents.csv.gz"] = steps
    get(server, tmp_path)
    assert files(tmp_path) == CONTENTS
    if ranges is not None:
        assert server.asked(BIG) == ranges


@pytest.mark.parametrize(
    ("part", "steps", "ranges"),
    [
        (CONTENTS[BIG][:123_456], [], ["bytes=123456-"]),
        (CONTENTS[BIG], [], []),
        (CONTENTS[BIG] + b"more", [], [f"bytes={len(CONTENTS[BIG]) + 4}-", None]),
        (CONTENTS[BIG] + b"more", ["no range"], [f"bytes={len(CONTENTS[BIG]) + 4}-"]),
        (b"an earlier version", [], ["bytes=18-", None]),
        (CONTENTS[BIG][:-1] + b"!", [], [f"bytes={len(CONTENTS[BIG])}-", None]),
        (b"", [], [None]),
    ],
    ids=[
        "a beginning",
        "whole",
        "longer than the file",
        "longer, ranges ignored",
        "of another version",
        "as long, but wrong",
        "empty",
    ],
)
def test_what_an_earlier_call_left(
    server: Server, tmp_path: Path, part: bytes, steps: list[object], ranges: list[str | None]
) -> None:
    server.script["chartevents.csv.gz"] = steps
    path = tmp_path / NAME / f"{BIG}.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(part)
    get(server, tmp_path)
    assert files(tmp_path) == CONTENTS
    assert server.asked(BIG) == ranges
    assert not path.exists()


@pytest.mark.parametrize(
    ("file", "steps", "message"),
    [
        (BIG, [404], "chartevents.csv.gz: the server answers 404 Not Found"),
        (
            BIG,
            ["wrong", "wrong"],
            "twice not the bytes whose SHA-256 stands in SHA256SUMS.txt: deleted",
        ),
        (
            BIG,
            [("break", 1000)] + [500] * ATTEMPTS,
            f"{ATTEMPTS} attempts in a row brought nothing new",
        ),
        (
            BIG,
            [("break", 1000)] + [("break", 0)] * ATTEMPTS,
            f"{ATTEMPTS} attempts in a row brought nothing new",
        ),
        (BIG, [("stall", 0)] * ATTEMPTS, "Read timed out"),
        (
            BIG,
            [("break from the first byte", 1000)] * (ATTEMPTS + 1),
            f"{ATTEMPTS} attempts in a row brought nothing new",
        ),
        (SUMS, [404], "SHA256SUMS.txt: the server answers 404"),
    ],
)
def test_what_cannot_be_had_is_told_in_one_line_and_a_later_call_mends_it(
    server: Server, tmp_path: Path, file: str, steps: list[object], message: str
) -> None:
    server.script[file.rpartition("/")[2]] = steps
    with pytest.raises(InputError, match=message) as error:
        get(server, tmp_path)
    assert "\n" not in str(error.value)
    assert BIG not in files(tmp_path)
    assert "twice" not in message or not list(tmp_path.rglob("*.part"))
    get(server, tmp_path)
    assert files(tmp_path) == CONTENTS


@pytest.mark.parametrize(
    ("sums", "message"),
    [
        (b"<html>Sign in to the hospital's network</html>", "among its 0 files"),
        (
            b"0" * 64 + b"  hosp/patients.csv.gz\n",
            r"no SHA-256 of hosp/admissions\.csv\.gz, .* among its 1 files",
        ),
    ],
)
def test_sums_that_lack_a_file_are_not_kept(
    server: Server, tmp_path: Path, sums: bytes, message: str
) -> None:
    path = f"/{OPEN[NAME].folder}/{SUMS}"
    whole, server.files[path] = server.files[path], sums
    with pytest.raises(InputError, match=message):
        get(server, tmp_path)
    server.files[path] = whole
    get(server, tmp_path)
    (tmp_path / NAME / SUMS).write_bytes(sums)
    with pytest.raises(InputError, match="delete it and fetch again"):
        get(server, tmp_path)


def test_sums_with_one_blank_or_the_mark_of_binary_files_are_read(
    server: Server, tmp_path: Path
) -> None:
    path = f"/{OPEN[NAME].folder}/{SUMS}"
    server.files[path] = server.files[path].replace(b"  hosp", b" hosp").replace(b"  icu", b" *icu")
    get(server, tmp_path)
    assert files(tmp_path) == CONTENTS


def test_a_file_damaged_later_is_replaced_and_no_other(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path)
    (tmp_path / NAME / "hosp" / "patients.csv.gz").write_bytes(b"damaged")
    requests = len(server.log)
    assert "1 of them downloaded now" in get(server, tmp_path)
    assert files(tmp_path) == CONTENTS
    assert [path for path, _ in server.log[requests:]] == [
        f"/{OPEN[NAME].folder}/hosp/patients.csv.gz"
    ]


STEPS = st.lists(
    st.sampled_from(["ok", "no range", "wrong", "declared as gzip", "drop", 500, 503, 404])
    | st.tuples(st.just("break"), st.integers(0, 350_000)),
    max_size=10,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, sums_steps=st.lists(st.sampled_from(["drop", 500, ("break", 10)]), max_size=3))
def test_whatever_a_server_does_no_wrong_byte_takes_a_final_name(
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[object],
    sums_steps: list[object],
) -> None:
    folder = tmp_path_factory.mktemp("raw")
    server.script = {"chartevents.csv.gz": list(steps), SUMS: list(sums_steps)}
    for _ in range(4):  # 10 steps, of which at most 2 * 2 + ATTEMPTS end a call
        try:
            get(server, folder)
        except InputError:
            assert files(folder).items() <= CONTENTS.items()
    server.script = {}
    get(server, folder)
    assert files(folder) == CONTENTS


def test_a_killed_download_is_continued_and_two_at_once_are_refused(
    server: Server, tmp_path: Path
) -> None:
    server.script["chartevents.csv.gz"] = [("stall", 200_000)]
    code = f"import pathlib; from icu_adversarial.tools.fetch import fetch; fetch({NAME!r}, pathlib.Path({str(tmp_path)!r}), {server.url!r})"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    part = tmp_path / NAME / f"{BIG}.part"
    while not part.exists() or part.stat().st_size < 100_000:
        assert child.poll() is None
        server.over.wait(0.01)
    with pytest.raises(InputError, match="another fetch is at work"):
        get(server, tmp_path)
    child.kill()
    child.wait()
    assert BIG not in files(tmp_path)
    had = part.stat().st_size
    get(server, tmp_path)
    assert files(tmp_path) == CONTENTS
    assert server.asked(BIG) == [None, f"bytes={had}-"]


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
        (NAME, "https://me:secret@localhost/files", "holds a password"),
        (NAME, "physionet.org/files", "--base-url: Invalid URL"),
        (NAME, "http://127.0.0.1:1/files", "brought nothing new"),
    ],
)
def test_impossible_requests(tmp_path: Path, name: str, base_url: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        fetch(name, tmp_path, base_url, pause=0.001)
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
    fetch("mimiciii-demo", tmp_path, server.url, pause=0.001)
    stays, events, *_ = mimic3.read(tmp_path / "mimiciii-demo", 48, MEASUREMENTS)
    assert len(stays) == 136
    assert sum(batch.num_rows for batch in events) > 20_000
