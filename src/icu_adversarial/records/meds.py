"""MEDS, the Medical Event Data Standard: a folder with data/**/*.parquet and a map of its codes → stays and events.

MEDS knows subjects, times and codes; stays have no ids, and events name no admission. A stay opens with a code of ICU admission, and its
number is its rank by subject and time. An event belongs to every stay of its subject whose window contains its time.
"""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from icu_adversarial.errors import InputError
from icu_adversarial.measurements import NAMES, Measurement
from icu_adversarial.records.code_map import read_code_map
from icu_adversarial.records.duck import BATCH_ROWS, MEMORY
from icu_adversarial.records.sources import Records, refuse_blood_gas
from icu_adversarial.records.views import literal
from icu_adversarial.tables import EVENTS, measurement_column

COLUMNS = {
    "subject_id": "BIGINT",
    "time": "TIMESTAMP",
    "code": "VARCHAR",
    "numeric_value": "DOUBLE",
}
SPLITS = Path("metadata") / "subject_splits.parquet"

# What each code of the data stands for. `rest`: what the * of the map stands for.
CODES_QUERY = """
SELECT c.code, m.stands_for, m.factor, m."offset", substr(c.code, length(m.code) + 1) AS rest
FROM (SELECT DISTINCT code FROM events) c JOIN meanings m ON c.code = m.code OR (m.is_prefix AND starts_with(c.code, m.code)) ORDER BY c.code
"""
# A stay ends with the next discharge from the ICU, or the next ICU admission if that comes first. Its admission to the hospital is the last before
# its end, which may follow the ICU admission by minutes; its discharge from the hospital the first after the ICU admission. Without one, the
# outcome is unknown. With one, a code of hospital death decides where the map has any, else the time of death.
STAYS_QUERY = """
WITH marks AS MATERIALIZED (
  SELECT e.subject_id, e.time, c.stands_for, min(c.rest) AS rest
  FROM events e JOIN codes c ON c.code = e.code WHERE c.stands_for NOT IN (SELECT measurement FROM limits)
  GROUP BY e.subject_id, e.time, c.stands_for
), admitted AS (
  SELECT row_number() OVER (ORDER BY subject_id, time) AS stay_id, subject_id, time AS intime, rest AS icu_type,
         row_number() OVER stays_of_subject AS subject_order, lead(time) OVER stays_of_subject AS next_intime
  FROM marks WHERE stands_for = 'icu_admission' AND time IS NOT NULL WINDOW stays_of_subject AS (PARTITION BY subject_id ORDER BY time)
), discharged AS (
  SELECT a.*, least(d.time, a.next_intime) AS outtime
  FROM admitted a ASOF LEFT JOIN (FROM marks WHERE stands_for = 'icu_discharge') d ON d.subject_id = a.subject_id AND d.time > a.intime
), stayed AS (
  SELECT d.*, h.time AS dischtime, b.time AS admittime,
         EXISTS (FROM marks x WHERE x.stands_for = 'hospital_death' AND x.subject_id = d.subject_id AND x.time = h.time) AS discharged_dead
  FROM discharged d
  ASOF LEFT JOIN (FROM marks WHERE stands_for IN ('hospital_discharge', 'hospital_death')) h ON h.subject_id = d.subject_id AND h.time > d.intime
  ASOF LEFT JOIN (FROM marks WHERE stands_for = 'hospital_admission') b ON b.subject_id = d.subject_id AND b.time <= coalesce(d.outtime, d.intime)
), subjects AS (
  SELECT subject_id, min(time) FILTER (WHERE stands_for = 'birth') AS birth, min(time) FILTER (WHERE stands_for = 'death') AS death,
         bool_or(stands_for = 'female') AS female, bool_or(stands_for = 'male') AS male
  FROM marks GROUP BY subject_id
), outcomes AS (
  SELECT d.*, s.*, CASE WHEN d.dischtime IS NULL THEN NULL WHEN {deaths_are_coded} THEN d.discharged_dead
                        ELSE coalesce(s.death BETWEEN d.intime AND d.dischtime, false) END AS died,
         epoch(d.intime - s.birth) / (365.2425 * 86400) AS years
  FROM stayed d JOIN subjects s ON s.subject_id = d.subject_id
)
SELECT o.stay_id, o.subject_id, CAST(subject_order AS SMALLINT) AS subject_order, coalesce(g.split, 'meds') AS source_group,
       CASE WHEN years > 89 THEN 90 ELSE years END AS age,
       CASE WHEN female AND male THEN NULL WHEN female THEN 'F' WHEN male THEN 'M' END AS sex, nullif(icu_type, '') AS icu_type,
       epoch(admittime - intime) / 3600 AS admit_hour, epoch(dischtime - intime) / 3600 AS discharge_hour,
       epoch(outtime - intime) / 3600 AS out_hour,
       CASE WHEN died THEN epoch(CASE WHEN death BETWEEN intime AND dischtime THEN death ELSE dischtime END - intime) / 3600 END AS death_hour,
       died, intime
FROM outcomes o LEFT JOIN splits g ON g.subject_id = o.subject_id
ORDER BY o.stay_id
"""
# The hour is rounded to float32 before it is compared with the window's end. The order is total: the same bytes on every run.
EVENTS_QUERY = """
SELECT * FROM (
  SELECT s.stay_id, CAST(epoch(e.time - s.intime) / 3600 AS REAL) AS hour, l.measurement, l.number,
         c.factor * e.numeric_value + c."offset" AS exact, CAST(exact AS REAL) AS value
  FROM events e JOIN codes c ON c.code = e.code JOIN limits l ON l.measurement = c.stands_for JOIN stays s ON s.subject_id = e.subject_id
  WHERE e.time >= s.intime AND e.time < s.intime + INTERVAL '{window_hours} hours'
    AND exact > l.above AND (exact < l.below OR (l.below_counts AND exact = l.below))
) WHERE hour < {window_hours}
ORDER BY stay_id, hour, measurement, value
"""


def read(
    raw: Path, window_hours: int, measurements: tuple[Measurement, ...], code_map: Path
) -> Records:
    """Read every Parquet file below `raw`/data, and the splits in `raw`/metadata if there: a stay's source_group is its subject's split.

    died is null where the data hold no discharge from the hospital. Raises InputError for a missing folder, file or column, an unreadable
    file or code map, a code that the map takes for two measurements, or data without an ICU admission or a measurement.
    """
    refuse_blood_gas(measurements, "the code map says which potassium counts")
    meanings = read_code_map(code_map)
    limits = pd.DataFrame(
        [
            (
                m.name,
                NAMES.index(m.name),
                m.items[-1].above,
                m.items[-1].below,
                m.items[-1].below_counts,
            )
            for m in measurements
        ],
        columns=["measurement", "number", "above", "below", "below_counts"],
    )
    with _open(raw, limits=limits, meanings=pd.DataFrame(meanings)) as connection:
        codes = connection.sql(CODES_QUERY).df()
        _check(raw, code_map, codes)
        connection.register("codes", codes)
        stays = connection.sql(
            STAYS_QUERY.format(
                deaths_are_coded=any(m.stands_for == "hospital_death" for m in meanings)
            )
        ).df()
    hours = dict.fromkeys(
        ("age", "admit_hour", "discharge_hour", "out_hour", "death_hour"), "float32"
    )
    described = stays.astype(hours | {"died": "boolean"}).assign(
        hadm_id=pd.array([None] * len(stays), "Int64")
    )
    return Records(
        described,
        _events(raw, window_hours, limits, codes, stays[["stay_id", "subject_id", "intime"]]),
    )


def _check(raw: Path, code_map: Path, codes: pd.DataFrame) -> None:
    measured = codes.loc[codes["stands_for"].isin(NAMES), "code"]
    if measured.empty:
        raise InputError(f"{raw}: none of its codes stands for a measurement in {code_map}")
    if not (codes["stands_for"] == "icu_admission").any():
        raise InputError(f"{raw}: none of its codes stands for icu_admission in {code_map}")
    if len(twice := measured[measured.duplicated()]):
        raise InputError(
            f"extract.code_map: {code_map}: {twice.nunique()} codes stand for several measurements, the first is {twice.iloc[0]}"
        )


def _events(
    raw: Path, window_hours: int, limits: pd.DataFrame, codes: pd.DataFrame, stays: pd.DataFrame
) -> Iterator[pa.RecordBatch]:
    with _open(raw, limits=limits, codes=codes, stays=stays) as connection:
        for batch in connection.sql(EVENTS_QUERY.format(window_hours=window_hours)).to_arrow_reader(
            BATCH_ROWS
        ):
            columns = [
                batch["stay_id"],
                batch["hour"],
                measurement_column(batch["number"]),
                batch["value"],
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=EVENTS)


@contextmanager
def _open(raw: Path, **frames: pd.DataFrame) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the views events and splits of the data, and `frames` under their names."""
    files = sorted((raw / "data").rglob("*.parquet"))
    if not files:
        raise InputError(f"{raw} holds no data/**/*.parquet: give the root of a MEDS data set")
    with (
        tempfile.TemporaryDirectory(prefix="icu-") as folder,
        closing(
            duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": folder})
        ) as opened,
    ):
        try:
            _view(opened, raw, "events", files, COLUMNS)
            if (raw / SPLITS).is_file():
                _view(
                    opened,
                    raw,
                    "splits",
                    [raw / SPLITS],
                    {"subject_id": "BIGINT", "split": "VARCHAR"},
                )
            else:
                opened.execute("CREATE TABLE splits (subject_id BIGINT, split VARCHAR)")
            for name, frame in frames.items():
                opened.register(name, frame)
            yield opened
        except (duckdb.Error, pa.ArrowException) as error:
            raise _explanation(raw, error) from None


def _explanation(raw: Path, error: Exception) -> InputError:
    """DuckDB's own messages may quote a row, and rows are patients."""
    if isinstance(error, duckdb.ConversionException):
        types = ", ".join(f"{column} {kind}" for column, kind in COLUMNS.items())
        return InputError(f"{raw}: a value is not of the type that MEDS gives it ({types})")
    if isinstance(error, duckdb.OutOfMemoryException) or "No space left" in str(error):
        return InputError(
            f"{raw}: no room to sort in {tempfile.gettempdir()}: set TMPDIR to a folder on a larger disk"
        )
    return InputError(f"{raw}: a Parquet file is damaged, or not what its name says")


def _view(
    connection: duckdb.DuckDBPyConnection,
    raw: Path,
    name: str,
    files: list[Path],
    columns: dict[str, str],
) -> None:
    relation = (
        f"read_parquet([{', '.join(literal(str(file)) for file in files)}], union_by_name = true)"
    )
    found = {
        column for column, *_ in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    }
    if missing := [column for column in columns if column not in found]:
        raise InputError(
            f"{raw}: the files of {name} lack the columns {', '.join(missing)}: found {', '.join(sorted(found))}"
        )
    typed = ", ".join(
        f'CAST("{column}" AS {kind}) AS "{column}"' for column, kind in columns.items()
    )
    connection.execute(f"CREATE VIEW {name} AS SELECT {typed} FROM {relation}")
