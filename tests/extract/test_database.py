import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from adbc_driver_postgresql import dbapi
from literature_set import ITEMS, MEASUREMENTS
from places import MIMIC3, every_tenth_value, to_csv, to_duckdb, to_parquet, to_postgres

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.schemas import EVENTS, STAYS, write_batches, write_table
from icu_adversarial.extract.sources import mimic3
from icu_adversarial.extract.storage.database import open_raw, read_url
from icu_adversarial.extract.storage.views import MEASURED, Table

SECRET = "wombat-2781"
LABS = {
    "labs": Table(
        {"subject_id": "BIGINT", "charttime": "TIMESTAMP", "valuenum": "DOUBLE PRECISION"}
    )
}
COLUMNS = "subject_id int, charttime timestamp, valuenum real"


def extracted(raw: Path, folder: Path) -> tuple[bytes, bytes, str]:
    """Stays, events, and the account of all rows."""
    stays, events, account, _ = mimic3.read(raw, 48, MEASUREMENTS)
    write_batches(folder / "events.parquet", events, EVENTS)
    write_table(folder / "stays.parquet", stays, STAYS)
    files = (folder / "stays.parquet", folder / "events.parquet")
    return files[0].read_bytes(), files[1].read_bytes(), account.table().to_csv()


def url_file(file: Path, uri: str) -> Path:
    file.write_text(uri.replace("postgresql://", "postgresql+psycopg://") + "\n")
    return file


def on_path(uri: str, schema: str) -> str:
    return f"{uri}&options=-csearch_path%3D{schema}"


@contextmanager
def server(uri: str) -> Iterator[dbapi.Cursor]:
    with dbapi.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        yield cursor


def refusal(raw: Path, sql: str = "SELECT * FROM labs") -> str:
    """What is said of the tables LABS in `raw`, after the name of `raw`."""
    with pytest.raises(InputError) as refused, open_raw(raw, LABS) as database:
        database.frame(sql)
    said = str(refused.value)
    assert said.startswith(str(raw))
    assert "\n" not in said
    return said.removeprefix(str(raw))


def test_every_place_gives_the_same_bytes(mimic_demo: Path, postgres: str, tmp_path: Path) -> None:
    raw = every_tenth_value(mimic_demo, MIMIC3, tmp_path / "raw")
    plain = to_csv(raw, MIMIC3, tmp_path / "csv")
    database = to_duckdb(plain, MIMIC3, tmp_path / "demo.duckdb")
    to_postgres(database, MIMIC3, postgres, "mimiciii")
    places = {
        "csv": plain,
        "duckdb": database,
        "parquet": to_parquet(database, MIMIC3, tmp_path / "parquet"),
        "folders of parquet": to_parquet(database, MIMIC3, tmp_path / "two", in_two=True),
        "postgres": url_file(tmp_path / "postgres.url", on_path(postgres, "mimiciii")),
        "duckdb by url": url_file(tmp_path / "duckdb.url", f"duckdb:///{database}"),
    }
    expected = extracted(raw, tmp_path / "csv.gz")
    assert [
        name for name, raw in places.items() if extracted(raw, tmp_path / name) != expected
    ] == []


def test_every_place_gives_the_same_bytes_for_awkward_values(postgres: str, tmp_path: Path) -> None:
    """Values at the ends of float32 and beyond, times in microseconds at both ends of the window, ties in all but the value."""
    rng = np.random.default_rng(0)
    intime = np.datetime64("2100-02-28T23:17:03.000001")
    near = [
        0,
        1,
        -1,
        47 * 10**6 * 3600,
        48 * 3600 * 10**6 - 1,
        48 * 3600 * 10**6,
        *rng.integers(0, 48 * 3600 * 10**6, 40),
    ]
    values = [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e-300",
        "1e-45",
        "3.4e38",
        "1e39",
        "1e308",
        "0",
        "-0",
        "100",
        "100.00000000000001",
        "69.99999999999999",
    ]
    values += [repr(float(v)) for v in rng.uniform(0, 120, 40)]
    times = [str(intime + np.timedelta64(int(us), "us")).replace("T", " ") for us in near]
    items = {
        name: [item for item, (_, rows) in ITEMS.items() if rows.table == name]
        for name in ("chartevents", "labevents")
    }
    some = {
        name: [
            (i, t, v)
            for i in items[name]
            for t, v in zip(rng.choice(times, 99), rng.choice(values, 99), strict=True)
        ]
        for name in items
    }
    rows = {
        "patients": [[1, 1, "F", "2050-01-01 00:00:00.5", "", "", "", 0]],
        "admissions": [
            [
                1,
                1,
                10,
                "2100-02-28 20:00:00",
                "2100-03-09 10:00:00.123456",
                "",
                *10 * [""],
                'SAID "NO",\nTWICE',
                0,
                1,
            ]
        ],
        "icustays": [
            [1, 1, 10, 100, "carevue", "MICU", "MICU", 1, 1, str(intime).replace("T", " "), "", ""]
        ],
        "chartevents": [
            [1, 1, 10, 100, item, time, time, 1, "a\nb", value, "", 0, "", "", ""]
            for item, time, value in some["chartevents"]
        ],
        "labevents": [
            [1, 1, "", item, time, "", value, "", ""] for item, time, value in some["labevents"]
        ],
    }
    types = {name: columns.replace("timestamp(0)", "timestamp") for name, columns in MIMIC3.items()}
    plain = tmp_path / "csv"
    plain.mkdir()
    for name, columns in types.items():
        with (plain / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(
                [[column.split()[0] for column in columns.split(", ")], *rows[name]]
            )
    database = to_duckdb(plain, types, tmp_path / "awkward.duckdb")
    to_postgres(database, types, postgres, "awkward")
    url = url_file(tmp_path / "postgres.url", on_path(postgres, "awkward"))
    expected = extracted(plain, tmp_path / "a")
    assert expected == extracted(database, tmp_path / "b") == extracted(url, tmp_path / "c")
    assert len(pq.read_table(tmp_path / "a" / "events.parquet")) > 1000


DAMAGED = {
    "no table": ("CREATE TABLE {schema}.other (subject_id int)", "no table LABS"),
    "no column": (
        "CREATE TABLE {schema}.labs (subject_id int, charttime timestamp)",
        "LABS lacks the columns valuenum: found charttime, subject_id",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_database_lacks_something(damage: str, postgres: str, tmp_path: Path) -> None:
    statement, message = DAMAGED[damage]
    schema = damage.replace(" ", "_")
    with duckdb.connect(tmp_path / "raw.duckdb") as connection:
        connection.execute(statement.format(schema="main"))
    assert message in refusal(tmp_path / "raw.duckdb")
    with server(postgres) as cursor:
        cursor.execute(f"CREATE SCHEMA {schema}")
        cursor.execute(statement.format(schema=schema))
    assert message in refusal(url_file(tmp_path / "raw.url", on_path(postgres, schema)))


def test_a_value_or_column_of_a_wrong_type(postgres: str, tmp_path: Path) -> None:
    """DuckDB casts, and counts what it cannot; a server has to have the right types."""
    wrong = COLUMNS.replace("real", "varchar")
    with duckdb.connect(tmp_path / "raw.duckdb") as connection:
        connection.execute(f"CREATE TABLE labs ({wrong})")
        connection.execute(
            "INSERT INTO labs VALUES (1, NULL, '4.1'), (1, NULL, 'zebra'), (2, NULL, NULL)"
        )
    assert refusal(tmp_path / "raw.duckdb") == ": LABS.valuenum: 1 values are no DOUBLE PRECISION"
    with server(postgres) as cursor:
        cursor.execute("CREATE SCHEMA wrong_type")
        cursor.execute(f"CREATE TABLE wrong_type.labs ({wrong})")
    assert "LABS.valuenum is of type character varying, not DOUBLE PRECISION" in refusal(
        url_file(tmp_path / "raw.url", on_path(postgres, "wrong_type"))
    )


def test_a_text_in_the_place_of_a_measured_number_is_nan(postgres: str, tmp_path: Path) -> None:
    """A server has to have the right types here, too."""
    columns = {"subject_id": "BIGINT", "charttime": "TIMESTAMP", "valuenum": MEASURED}
    labs = {"labs": Table(columns)}
    query = "SELECT subject_id FROM labs WHERE valuenum = CAST('NaN' AS DOUBLE PRECISION)"
    (tmp_path / "labs.csv").write_text(
        "subject_id,charttime,valuenum\n1,,4.1\n2,,<5\n3,,\n4,,NaN\n5,, \n"
    )
    with duckdb.connect(tmp_path / "raw.duckdb") as connection:
        connection.execute(
            f"CREATE TABLE labs AS FROM read_csv('{tmp_path / 'labs.csv'}', all_varchar = true)"
        )
    for raw in (tmp_path, tmp_path / "raw.duckdb"):
        with open_raw(raw, labs) as database:
            assert sorted(database.frame(query)["subject_id"]) == [2, 4, 5]
            others = database.frame("SELECT * FROM labs WHERE subject_id IN (1, 3)")
        assert others.sort_values("subject_id")["valuenum"].tolist()[0] == 4.1
        assert others["valuenum"].isna().sum() == 1
    with server(postgres) as cursor:
        cursor.execute("CREATE SCHEMA measured")
        cursor.execute(f"CREATE TABLE measured.labs ({COLUMNS.replace('real', 'varchar')})")
    raw = url_file(tmp_path / "raw.url", on_path(postgres, "measured"))
    with (
        pytest.raises(InputError, match=r"LABS\.valuenum is of type character varying, not DOUBLE"),
        open_raw(raw, labs),
    ):
        pass


def test_a_server_that_fails_half_way_shows_no_value(postgres: str, tmp_path: Path) -> None:
    with server(postgres) as cursor:
        cursor.execute("CREATE SCHEMA half_way")
        cursor.execute(
            "CREATE VIEW half_way.labs AS SELECT i AS subject_id, TIMESTAMP '2100-01-01' AS charttime, "
            "CAST(CASE WHEN i = 300000 THEN 'zebra' ELSE '1' END AS real) AS valuenum FROM generate_series(1, 400000) i"
        )
    assert (
        refusal(url_file(tmp_path / "raw.url", on_path(postgres, "half_way")))
        == ": the server broke off the query: see its log"
    )


def test_the_schema(postgres: str, tmp_path: Path) -> None:
    """The first on the search path, else the only one that has the table; names in any case."""
    everywhere = url_file(tmp_path / "everywhere.url", postgres)
    with duckdb.connect(tmp_path / "raw.db") as connection, server(postgres) as cursor:
        for schema, table, value in (("one", '"LABS"', 1), ("another", "labs", 2)):
            for execute in (connection.execute, cursor.execute):
                execute(f"CREATE SCHEMA {schema}_x")
                execute(
                    f"CREATE TABLE {schema}_x.{table} ({COLUMNS.replace('valuenum', chr(34) + 'ValueNum' + chr(34))})"
                )
                execute(f"INSERT INTO {schema}_x.{table} VALUES (1, NULL, {value})")
    assert (
        "LABS: found in the schemas another_x, one_x: choose one with a file NAME.url"
        in refusal(tmp_path / "raw.db")
    )
    said = refusal(everywhere)
    assert ", one_x, " in said
    assert said.startswith(": LABS: found in the schemas another_x, ")
    assert said.endswith(": choose one in the URL, ?options=-csearch_path%3Danother_x")
    with open_raw(url_file(tmp_path / "one.url", on_path(postgres, "one_x")), LABS) as database:
        assert database.frame("SELECT * FROM labs")["valuenum"].tolist() == [1.0]
    with duckdb.connect(tmp_path / "raw.db") as connection:
        connection.execute(f"CREATE TABLE labs ({COLUMNS})")  # a stray copy on the usual path
    assert "LABS: found in the schemas another_x, main, one_x" in refusal(tmp_path / "raw.db")
    with duckdb.connect(tmp_path / "raw.db") as connection:
        connection.execute("DROP TABLE labs")
        connection.execute("DROP SCHEMA one_x CASCADE")
    with open_raw(tmp_path / "raw.db", LABS) as database:
        assert database.frame("SELECT * FROM labs")["valuenum"].tolist() == [2.0]


@pytest.mark.parametrize("name", ["raw.db", "two schemas (1) {a}.duckdb"])
def test_the_url_of_a_duckdb_file_chooses_a_schema(name: str, tmp_path: Path) -> None:
    """By the very text that the refusal of the bare file advises."""
    with duckdb.connect(tmp_path / name) as connection:
        for schema, value in (("whole", 1), ("demo", 2)):
            connection.execute(f"CREATE SCHEMA {schema}")
            connection.execute(f"CREATE TABLE {schema}.labs ({COLUMNS})")
            connection.execute(f"INSERT INTO {schema}.labs VALUES (1, NULL, {value})")
        connection.execute("CREATE SCHEMA empty")
    advice = refusal(tmp_path / name).partition("NAME.url that holds ")[2]
    assert advice == f"duckdb:///{tmp_path / name}?options=-csearch_path%3Ddemo"
    found = {}
    for path in ("demo", "whole", "empty,whole", "whole,demo"):
        raw = url_file(tmp_path / "raw.url", advice.removesuffix("demo") + path)
        with open_raw(raw, LABS) as database:
            found[path] = database.frame("SELECT * FROM labs")["valuenum"].tolist()
    assert found == {"demo": [2.0], "whole": [1.0], "empty,whole": [1.0], "whole,demo": [1.0]}

    nowhere = advice.removesuffix("demo")
    assert "no table LABS that may be read on the search path" in refusal(
        url_file(tmp_path / "raw.url", nowhere + "empty")
    )
    assert "the file has no schema other: found demo, empty, main, whole" in refusal(
        url_file(tmp_path / "raw.url", nowhere + "other")
    )
    for option in ("access_mode=read_write", "options=-cthreads%3D1", "schema=demo"):
        with pytest.raises(InputError, match="and no other option"):
            read_url(url_file(tmp_path / "raw.url", f"duckdb:///{tmp_path / name}?{option}"))


def test_two_tables_of_one_name_in_a_schema(postgres: str, tmp_path: Path) -> None:
    with server(postgres) as cursor:
        cursor.execute("CREATE SCHEMA twice")
        cursor.execute(f"CREATE TABLE twice.labs ({COLUMNS})")
        cursor.execute('CREATE TABLE twice."LABS" (i int)')
    raw = url_file(tmp_path / "raw.url", on_path(postgres, "twice"))
    assert "LABS is there 2 times in the schema twice: LABS and labs: remove one" in refusal(raw)


def test_a_server_with_times_in_a_zone_is_refused(postgres: str, tmp_path: Path) -> None:
    with server(postgres) as cursor:
        cursor.execute("CREATE SCHEMA zoned")
        cursor.execute(f"CREATE TABLE zoned.labs ({COLUMNS.replace('timestamp', 'timestamptz')})")
    assert "LABS.charttime is of type timestamp with time zone, not TIMESTAMP" in refusal(
        url_file(tmp_path / "raw.url", on_path(postgres, "zoned"))
    )


def test_no_place_at_all(tmp_path: Path) -> None:
    assert "is not a folder" in refusal(tmp_path / "nowhere")
    assert "there is no DuckDB file" in refusal(tmp_path / "nowhere.duckdb")
    assert "cannot be read: No such file" in refusal(tmp_path / "nowhere.url")
    (tmp_path / "text.duckdb").write_text("zebra")
    assert "it is not a DuckDB file" in refusal(tmp_path / "text.duckdb")
    assert "Connection refused" in refusal(
        url_file(tmp_path / "closed.url", "postgresql://nobody@127.0.0.1:1/mimic")
    )


def test_a_csv_file_without_a_header_shows_no_row(tmp_path: Path) -> None:
    (tmp_path / "labs.csv").write_text("1,2100-01-01 00:00:00,zebra\n")
    assert (
        refusal(tmp_path)
        == ": LABS lacks the columns subject_id, charttime, valuenum: found none of its columns"
    )


def test_a_long_result_comes_in_batches_and_may_be_left(postgres: str, tmp_path: Path) -> None:
    raw = url_file(tmp_path / "raw.url", on_path(postgres, "public"))
    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    with server(postgres) as cursor:
        cursor.execute(f"CREATE TABLE labs ({COLUMNS})")
        cursor.execute("INSERT INTO labs SELECT i, NULL, i FROM generate_series(1, 2000000) i")
    with open_raw(raw, LABS) as database:
        batches = database.batches(
            "WITH odd AS (SELECT * FROM labs WHERE subject_id % 2 = 1) SELECT * FROM odd ORDER BY subject_id DESC"
        )
        first = next(batches)
        assert first["subject_id"][0].as_py() == 1_999_999
        assert len(first) < 1_000_000
        batches.close()
    with server(postgres) as cursor:
        cursor.execute("DROP TABLE labs")
        cursor.execute(others)
        assert cursor.fetchone() == (0,)


def test_a_server_needs_to_grant_reading_and_no_more(postgres: str, tmp_path: Path) -> None:
    with server(postgres) as cursor:
        cursor.execute("CREATE SCHEMA granted")
        cursor.execute(f"CREATE TABLE granted.labs ({COLUMNS})")
        cursor.execute("CREATE ROLE guest LOGIN")
    uri = on_path(postgres, "granted%20-cdefault_transaction_read_only%3Don").replace(
        "postgres:@", "guest@"
    )
    raw = url_file(tmp_path / "raw.url", uri)
    assert "no table LABS that may be read" in refusal(raw)
    with server(postgres) as cursor:
        cursor.execute("GRANT USAGE ON SCHEMA granted TO guest")
        cursor.execute("GRANT SELECT ON granted.labs TO guest")
    with open_raw(raw, LABS) as database:
        assert database.frame("SELECT * FROM labs").empty


@pytest.fixture
def guarded(postgres: str) -> Iterator[str]:
    """URI of a user who needs the password SECRET."""
    with server(postgres) as cursor:
        cursor.execute(f"CREATE ROLE reader LOGIN PASSWORD '{SECRET}'")
        cursor.execute("SELECT current_setting('hba_file')")
        rules = Path(cursor.fetchone()[0])
        before = rules.read_text()
        rules.write_text("local all reader scram-sha-256\n" + before)
        cursor.execute("SELECT pg_reload_conf()")
        cursor.fetchall()
        yield postgres.replace("postgres:@", "reader@")
        rules.write_text(before)


def test_a_password_from_outside_opens_and_is_never_shown(
    guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = url_file(tmp_path / "raw.url", guarded)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    assert "no password supplied" in refusal(raw)
    monkeypatch.setenv("PGPASSWORD", f"{SECRET}-wrong")
    said = refusal(raw)
    assert 'password authentication failed for user "reader"' in said
    assert SECRET not in said
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert "no table LABS" in refusal(raw)  # inside
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / "pgpass").write_text(f"*:*:*:reader:{SECRET}\n")
    (tmp_path / "pgpass").chmod(0o600)
    assert "no table LABS" in refusal(raw)


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql+psycopg://me:{SECRET}@host/mimic",
        f"postgresql://host/mimic?user=me&password={SECRET}",
        f"postgresql://me%3A{SECRET}@host/mimic",
        f"mysql://me:{SECRET}@host/mimic",
        f"postgresql://me:{SECRET}/@host/mimic",
        f"me:{SECRET}@host",
        f"postgresql://me@host/mimic\nPGPASSWORD={SECRET}",
        f"mysql://host/{SECRET}",
        "",
    ],
)
def test_a_url_file_that_holds_a_password_or_no_url(text: str, tmp_path: Path) -> None:
    file = tmp_path / "raw.url"
    file.write_text(text)
    with pytest.raises(InputError, match=r"^[^\n]*raw\.url") as refused:
        read_url(file)
    assert SECRET not in str(refused.value)
