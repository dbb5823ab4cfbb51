import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pandas as pd
import pytest
from adbc_driver_postgresql import dbapi
from golden import CODE_MAP, DATA, write_demo, write_meds
from literature_set import NAMES
from places import MIMIC3, to_csv, to_duckdb, to_postgres

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.sources import eicu, mimic3, mimic4
from icu_adversarial.measurements import SETS, choose
from icu_adversarial.synthetic.hospital import generate
from icu_adversarial.tools.fetch import CREDENTIALED, OPEN
from icu_adversarial.tools.validate import ROWS, validate

ROOT = Path(__file__).parents[2]
DEMO = "136 ICU stays of 100 subjects, 46 deaths in the hospital, 0 unknown outcomes"


def lines(raw: Path, source: str | None = None, rows: int = ROWS) -> list[str]:
    return list(validate(raw, source, 48, CODE_MAP, NAMES, rows))


def stays_with(report: list[str]) -> dict[str, int]:
    """The table of coverage."""
    found = (re.fullmatch(r"  (\w+) +([\d,]+)(?: +\d+%)?(?:  .+)?", line) for line in report)
    return {match[1]: int(match[2].replace(",", "")) for match in found if match}


def by_hand(
    mimic_demo: Path, table: str, items: list[int], below: float, rows: int | None = None
) -> int:
    """Stays with a value of these items in their first 48 hours, in the first `rows` rows."""
    events = pd.read_csv(
        mimic_demo / f"{table}.csv.gz",
        nrows=rows,
        parse_dates=["charttime"],
        usecols=lambda c: c not in ("value", "valueuom", "resultstatus", "stopped"),
    )
    stays = pd.read_csv(mimic_demo / "ICUSTAYS.csv.gz", parse_dates=["intime"])
    events = events[
        events["itemid"].isin(items) & events["valuenum"].between(0, below, inclusive="neither")
    ].merge(stays, on="subject_id")
    within = (events["charttime"] - events["intime"]).between(
        pd.Timedelta(0), pd.Timedelta(hours=48), inclusive="left"
    )
    same = events["hadm_id_x"].isna() | (events["hadm_id_x"] == events["hadm_id_y"])
    return events[within & same]["icustay_id" if table == "LABEVENTS" else "icustay_id_y"].nunique()


def test_the_whole_demo(mimic_demo: Path) -> None:
    report = lines(mimic_demo)
    assert stays_with(report)["heartrate"] == by_hand(mimic_demo, "CHARTEVENTS", [211, 220045], 300)
    assert stays_with(report)["sodium"] == by_hand(mimic_demo, "LABEVENTS", [50983], 200)
    assert list(stays_with(report)) == list(NAMES)
    assert report[0] == f"{mimic_demo}: MIMIC-III (extract.source: mimiciii)"
    assert DEMO in report
    assert "2 source groups (for split.test_groups): carevue (59), metavision (77)" in report
    assert "sample" not in "".join(report)
    assert report[-1].endswith(
        f"dvc exp run -S extract.source=mimiciii -S extract.raw={mimic_demo}"
    )


def test_only_the_first_rows_of_a_long_table_are_read(mimic_demo: Path) -> None:
    report = lines(mimic_demo, rows=100_000)
    assert DEMO in report
    assert "All counts are those of a sample: at most 100,000 rows of CHARTEVENTS" in report
    assert stays_with(report)["heartrate"] == by_hand(
        mimic_demo, "CHARTEVENTS", [211, 220045], 300, rows=100_000
    )
    assert stays_with(report)["sodium"] == by_hand(mimic_demo, "LABEVENTS", [50983], 200)
    assert "%" not in "".join(report)


def test_challenge(challenge: Path) -> None:
    report = lines(challenge)
    assert (
        "8,000 ICU stays of 8,000 subjects, 1,122 deaths in the hospital, 2 unknown outcomes"
    ) in report
    assert [line.split()[0] for line in report if "not in these data" in line] == ["calcium"]
    assert any(re.fullmatch(r"  spo2 +3,\d{3} +4[45]%  arterial SaO2 .*", line) for line in report)
    assert "2 source groups (for split.test_groups): set-a (4,000), set-b (4,000)" in report
    assert stays_with(report)["calcium"] == 0
    assert any(re.fullmatch(r"  lactate +4,\d{3} +55%", line) for line in report)
    assert "extract.source=challenge2012" in report[-1]


@pytest.mark.parametrize(
    ("name", "source", "stays"), [("mimic4", "mimiciv", 4), ("eicu", "eicu", 5)]
)
def test_a_source_is_recognised_by_its_tables(name: str, source: str, stays: int) -> None:
    report = lines(DATA / name)
    assert report[0].endswith(f"(extract.source: {source})")
    assert any(line.startswith(f"{stays} ICU stays") for line in report)
    assert report[-1].endswith(f"-S extract.source={source} -S extract.raw={DATA / name}")


def test_meds(tmp_path: Path) -> None:
    report = lines(write_meds(tmp_path / "raw with blanks"))
    expected = pd.read_csv(DATA / "meds" / "expected_stays.csv")
    events = pd.read_csv(DATA / "meds" / "expected_events.csv")
    assert any(
        line.startswith(f"{len(expected)} ICU stays of {expected['subject_id'].nunique()} subjects")
        for line in report
    )
    assert {name: n for name, n in stays_with(report).items() if n} == events.groupby(
        "measurement"
    )["stay_id"].nunique().to_dict()
    assert report[-1].endswith(f"-S \"extract.raw='{tmp_path}/raw with blanks'\"")


def test_a_sample_of_meds_has_fewer_stays(mimic_demo: Path, tmp_path: Path) -> None:
    write_demo(mimic_demo, tmp_path)
    file = tmp_path / "data" / "0.parquet"
    pd.read_parquet(file).sort_values(["subject_id", "time"]).to_parquet(file)
    report = lines(tmp_path, rows=20_000)
    assert "All counts are those of a sample: at most 20,000 rows of DATA" in report
    stays = next(match for line in report if (match := re.match(r"(\d+) ICU stays of", line)))
    assert 0 < int(stays[1]) < 136


def test_the_synthetic_hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generate(Path("data/raw/synthetic"), 300, 1)
    report = lines(Path("data/raw/synthetic"), rows=10_000)
    assert "300 ICU stays" in "".join(report)
    assert "at most 10,000 rows of CHARTEVENTS, LABEVENTS" in "".join(report)
    assert report[-1].endswith("dvc repro")


def test_databases_give_the_same_report_as_files(
    mimic_demo: Path, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    csv = to_csv(mimic_demo, MIMIC3, tmp_path / "csv")
    with (csv / "chartevents.csv").open() as file:
        beginning = list(islice(file, 60_001))
    (csv / "chartevents.csv").write_text("".join(beginning))
    database = to_duckdb(csv, MIMIC3, tmp_path / "demo.duckdb")
    to_postgres(database, MIMIC3, postgres, "validated")
    server = tmp_path / "demo.url"
    server.write_text(
        postgres.replace("postgresql://", "postgresql+psycopg://")
        + "&options=-csearch_path%3Dvalidated"
    )

    def execute(*statements: str) -> None:
        with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()

    execute("ANALYZE validated.chartevents")
    expected = lines(csv)
    for raw in (database, server):
        assert lines(raw)[1:-1] == expected[1:-1]
    part = lines(database, rows=20_000)
    assert 0 < stays_with(part)["sodium"] < stays_with(expected)["sodium"]
    monkeypatch.setattr("icu_adversarial.tools.sample.PROBE", 20.0)  # the table is short
    pages = lines(server, rows=5_000)
    assert "at most 5,000 rows of CHARTEVENTS, LABEVENTS" in "".join(pages)
    execute(
        "ALTER TABLE validated.chartevents RENAME TO charted",
        "CREATE VIEW validated.chartevents AS SELECT * FROM validated.charted",
    )
    first = lines(server, rows=5_000)  # a view has no pages
    assert 0 < stays_with(first)["heartrate"] < stays_with(pages)["heartrate"]


def damaged(folder: Path, change: Callable[[Path], object]) -> Path:
    shutil.copytree(DATA / "mimic4", folder)
    change(folder)
    return folder


def replace(file: str, old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text((folder / file).read_text().replace(old, new))


def header_only(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text(
        (folder / file).read_text().partition("\n")[0] + "\n"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: (
                (f / "hosp" / "labevents.csv").unlink(),
                replace("icu/icustays.csv", "outtime", "until")(f),
            ),
            r"cannot be used as mimiciv: ICUSTAYS lacks the columns outtime: .*; no LABEVENTS",
        ),
        (
            lambda f: (f / "icu" / "chartevents.csv").rename(f / "icu" / "chartevents.csv.gz"),
            "CHARTEVENTS cannot be read: it is damaged",
        ),
        (
            replace("icu/chartevents.csv", "valuenum", "value"),
            "CHARTEVENTS lacks the columns valuenum",
        ),
        (header_only("icu/icustays.csv"), "no ICU stay has its patient"),
        (
            lambda f: (header_only("icu/chartevents.csv")(f), header_only("hosp/labevents.csv")(f)),
            "no value of a measurement in the first 48 hours",
        ),
        (shutil.rmtree, "is missing: give a folder"),
        (
            lambda f: (shutil.rmtree(f), f.mkdir()),
            "contains no table of MIMIC-III, MIMIC-IV or eICU",
        ),
        (
            lambda f: (shutil.rmtree(f), f.write_text("no database")),
            "is not a folder with the raw tables",
        ),
    ],
)
def test_every_reason_is_in_one_line(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        lines(damaged(tmp_path / "raw", change))
    assert "\n" not in str(error.value)
    assert str(error.value).count(str(tmp_path)) == 1


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (
            r",(220045|211),[^,]+,",
            r",\1,yesterday,",
            r"CHARTEVENTS\.charttime: [1-5] values are no TIMESTAMP",
        ),
        (
            r",(220045|211),",
            r",\1,yesterday,too,many,",
            "CHARTEVENTS cannot be read: it is damaged",
        ),
    ],
)
def test_a_message_about_damage_names_the_raw_file_and_no_value(
    mimic_demo: Path, tmp_path: Path, pattern: str, replacement: str, message: str
) -> None:
    raw = to_csv(mimic_demo, MIMIC3, tmp_path / "raw")
    (raw / "chartevents.csv").write_text(
        re.sub(pattern, replacement, (raw / "chartevents.csv").read_text(), count=5)
    )
    with pytest.raises(InputError, match=message) as error:
        lines(raw, rows=100_000)
    assert str(error.value).startswith(str(raw))
    assert "yesterday" not in str(error.value)


def test_a_damaged_file_of_meds(tmp_path: Path) -> None:
    write_meds(tmp_path)
    next((tmp_path / "data").rglob("*.parquet")).write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="DATA cannot be read: it is damaged"):
        lines(tmp_path)


def test_stays_that_are_left_out_are_counted(tmp_path: Path) -> None:
    report = lines(
        damaged(tmp_path / "raw", replace("icu/icustays.csv", "10003,20000004", "10003,20000009"))
    )
    assert any(line.startswith("3 ICU stays of 2 subjects") for line in report)
    assert "1 more ICU stays are left out: admission and patient known" in report


def test_a_duckdb_file_with_two_schemas(mimic_demo: Path, tmp_path: Path) -> None:
    """The message names the schemas and the way to choose one."""
    csv = to_csv(mimic_demo, MIMIC3, tmp_path / "csv")
    with (csv / "chartevents.csv").open() as file:
        beginning = list(islice(file, 20_001))
    (csv / "chartevents.csv").write_text("".join(beginning))
    raw = to_duckdb(csv, MIMIC3, tmp_path / "two.duckdb", "whole")
    to_duckdb(csv, MIMIC3, raw, "demo")
    schemas = (
        "PATIENTS: found in the schemas demo, whole: choose one with a file NAME.url that holds"
    )
    with pytest.raises(InputError) as error:
        lines(raw)
    assert str(error.value).startswith(f"{raw}: {schemas} duckdb:///")
    assert str(error.value).count("NAME.url") == 1
    with pytest.raises(InputError, match=f"cannot be used as mimiciii: {schemas}"):
        lines(raw, "mimiciii")
    url = tmp_path / "whole.url"
    url.write_text(f"duckdb:///{raw}?options=-csearch_path%3Dwhole")
    report = lines(url)
    assert report[0] == f"{url}: MIMIC-III (extract.source: mimiciii)"
    assert DEMO in report


def test_one_outcome_alone_is_refused(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(DATA / "mimic4", raw)
    admissions = pd.read_csv(raw / "hosp" / "admissions.csv", dtype=str)
    admissions.assign(hospital_expire_flag="0").to_csv(raw / "hosp" / "admissions.csv", index=False)
    with pytest.raises(InputError, match="all stays have the same outcome"):
        lines(raw)


def test_a_source_that_does_not_fit_and_one_that_is_none() -> None:
    with pytest.raises(
        InputError, match="cannot be used as mimiciii: PATIENTS lacks the columns dob"
    ):
        lines(DATA / "mimic4", "mimiciii")
    with pytest.raises(InputError, match="--source: mimic is none of synthetic, mimiciii, mimiciv"):
        lines(DATA / "mimic4", "mimic")


def test_a_server_that_does_not_answer_and_a_password_in_a_url(tmp_path: Path) -> None:
    (tmp_path / "down.url").write_text("postgresql+psycopg://me@127.0.0.1:1/mimic")
    (tmp_path / "open.url").write_text("postgresql+psycopg://me:secret@127.0.0.1:1/mimic")
    for name in ("down", "open"):
        with pytest.raises(InputError) as error:
            lines(tmp_path / f"{name}.url")
        assert "\n" not in str(error.value)
        assert str(error.value).count(str(tmp_path)) == 1
        assert "secret" not in str(error.value)


def test_exit_codes_of_the_command(tmp_path: Path) -> None:
    """0 and a report, or 1 and one line after it."""

    def run(raw: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "src/run.py", "validate", str(raw)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run(DATA / "mimic4")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usable. Next:" in done.stdout
    failed = run(
        damaged(tmp_path / "raw", lambda folder: (folder / "hosp" / "labevents.csv").unlink())
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert len(failed.stderr.splitlines()) == 1
    assert "MIMIC-IV" in failed.stdout


@pytest.mark.parametrize(
    ("names", "reader"),
    [
        (("mimiciii-demo", "mimiciii"), mimic3),
        (("mimic-iv-demo", "mimiciv"), mimic4),
        (("eicu-demo", "eicu"), eicu),
    ],
)
def test_fetch_downloads_exactly_the_tables_that_the_reader_reads(
    names: tuple[str, ...], reader: object
) -> None:
    for name in names:
        files = (OPEN | CREDENTIALED)[name].files
        read = reader.tables(choose(SETS["extended"]))  # type: ignore[attr-defined]
        assert {Path(file).name.lower().partition(".")[0] for file in files} == set(read)
