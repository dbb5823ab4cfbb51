"""The queries of eicu.py, in the SQL that DuckDB and PostgreSQL share."""

from collections.abc import Sequence

from icu_adversarial.extract.account import REVISED
from icu_adversarial.extract.events import ranks
from icu_adversarial.extract.storage.views import literal
from icu_adversarial.extract.units import spelling_rows
from icu_adversarial.measurements import Measurement, Rows

UNKNOWN = "an unknown unit"
STAYS_QUERY = "SELECT * FROM patient ORDER BY patientunitstayid"
# unit: null for the usual unit of the test and for a result without a unit. The sign for micro is
# read as u. code: the number of a table and name. reason: why a row does not count, whatever its
# value. nth: 1 for the first entry of a name and unit in items, which
# has one for each range of values. Of a laboratory result and its revisions, the last counts.
CHARTED = """
items(source, name, code, unit, rank, above, below, below_counts, means_one, fahrenheit, factor,
      nth) AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY source, name, unit ORDER BY above)
  FROM (VALUES {items}) v(source, name, code, unit, rank, above, below, below_counts, means_one,
                            fahrenheit, factor)
), names AS (
  SELECT DISTINCT source, name, code, rank FROM items
), spellings(spelling, unit) AS (
  VALUES {spellings}
), stays AS (
  SELECT patientunitstayid AS stay_id FROM patient WHERE LOWER(TRIM(unitstaytype)) IN ({icu})
), charted(source, patientunitstayid, minute, name, value, unit, reason) AS (
  {charted}
)"""
MONITOR = """
  SELECT * FROM (
    SELECT '{0}', patientunitstayid, observationoffset, c.name, {{values}} AS value, NULL, NULL
    FROM {0} CROSS JOIN (SELECT name FROM names WHERE source = '{0}') c
  ) {0}_rows WHERE value IS NOT NULL"""
# The rows of each raw table: source, stay, minute, name, value, unit, reason.
SELECTS = {
    "lab": f"""
  SELECT 'lab', l.patientunitstayid, labresultoffset, labname, labresult,
         CASE WHEN labmeasurenameinterface IS NULL OR TRIM(labmeasurenameinterface) = ''
                OR (labname, s.unit) IN ({{usual}}) THEN NULL
              ELSE COALESCE(s.unit, {literal(UNKNOWN)}) END,
         CASE WHEN labresultrevisedoffset IS DISTINCT FROM last_revision
              THEN {literal(REVISED)} END
  FROM (
    SELECT *, MAX(labresultrevisedoffset) OVER (
      PARTITION BY patientunitstayid, labname, labresultoffset
    ) AS last_revision FROM lab
  ) l LEFT JOIN spellings s ON s.spelling =
    LOWER(REGEXP_REPLACE(REPLACE(labmeasurenameinterface, ' ', ''), '[^ -~]', 'u', 'g'))""",
    "vitalperiodic": MONITOR.format("vitalperiodic"),
    "vitalaperiodic": MONITOR.format("vitalaperiodic"),
    "nursecharting": """
  SELECT 'nursecharting', patientunitstayid, nursingchartoffset, nursingchartcelltypevalname,
         CASE WHEN nursingchartvalue ~ '^-?[0-9]{{1,9}}([.][0-9]*)?$'
              THEN CAST(nursingchartvalue AS DOUBLE PRECISION) END, NULL, NULL
  FROM nursecharting""",
    # Some texts end with a sign for percent.
    "respiratorycharting": """
  SELECT 'respiratorycharting', patientunitstayid, respchartoffset, respchartvaluelabel,
         CASE WHEN respchartvalue ~ '^-?[0-9]{{1,9}}([.][0-9]*)? ?%?$'
              THEN CAST(RTRIM(respchartvalue, ' %') AS DOUBLE PRECISION) END, NULL, NULL
  FROM respiratorycharting""",
    "intakeoutput": """
  SELECT 'intakeoutput', patientunitstayid, intakeoutputoffset, celllabel, cellvaluenumeric, NULL,
         NULL
  FROM intakeoutput""",
}
# fits: the value is in the range of the entry of items.
FITS = """
c.value > i.above AND (c.value < i.below OR (i.below_counts AND c.value = i.below))"""
# A nurse's value counts in the hours that have none from a monitor: nurses also copy what the
# monitor shows. Both pressures count, from the arterial line (vitalPeriodic) and the cuff
# (vitalAperiodic), as in MIMIC. The order is total: the same bytes on every run.
EVENTS_QUERY = f"""WITH {CHARTED}, counted AS (
  SELECT c.source, c.patientunitstayid AS stay_id, c.minute, i.rank, i.code,
         CASE WHEN i.means_one THEN 1 WHEN i.fahrenheit THEN (c.value - 32) / 1.8
              ELSE c.value * i.factor END AS value
  FROM charted c
  JOIN items i ON i.source = c.source AND i.name = c.name AND i.unit IS NOT DISTINCT FROM c.unit
  JOIN stays p ON p.stay_id = c.patientunitstayid
  WHERE c.minute >= 0 AND c.minute < {{minutes}} AND c.reason IS NULL AND {FITS}
), monitored AS (
  SELECT DISTINCT stay_id, rank, minute - minute % 60 AS full_hour FROM counted
  WHERE source <> 'nursecharting'
), events AS (
  SELECT stay_id, minute, rank, value, code FROM counted WHERE source <> 'nursecharting'
  UNION ALL
  SELECT n.stay_id, n.minute, n.rank, n.value, n.code
  FROM counted n LEFT JOIN monitored m
    ON m.stay_id = n.stay_id AND m.rank = n.rank AND m.full_hour = n.minute - n.minute % 60
  WHERE n.source = 'nursecharting' AND m.stay_id IS NULL
)
SELECT stay_id, CAST(minute / CAST(60 AS DOUBLE PRECISION) AS REAL) AS hour, rank, value, code,
       TRUE AS first_stay
FROM events ORDER BY stay_id, hour, rank, value, code
"""
# is_row is true for one pair of each row: that with the first entry of items, or the one without an
# entry, whose unit is not known. in_window: rows in the window of a stay. revised, no_number and
# fitting: parts of them. What is left has a wrong unit or an implausible value.
COUNTS_QUERY = f"""WITH {CHARTED}, paired AS (
  SELECT c.source, n.name, n.rank, c.unit, c.minute, c.reason, p.stay_id, c.value, {FITS} AS fits,
         COALESCE(i.nth, 1) = 1 AS is_row,
         c.minute >= 0 AND c.minute < {{minutes}} AND p.stay_id IS NOT NULL AS in_window
  FROM charted c
  JOIN names n ON n.source = c.source AND n.name = c.name
  LEFT JOIN items i
    ON i.source = c.source AND i.name = c.name AND COALESCE(i.unit, '') = COALESCE(c.unit, '')
  LEFT JOIN stays p ON p.stay_id = c.patientunitstayid
)
SELECT source, name, rank, unit, COUNT(*) FILTER (WHERE is_row) AS rows_read,
       COUNT(*) FILTER (WHERE is_row AND stay_id IS NULL) AS no_stay,
       COUNT(*) FILTER (WHERE is_row AND stay_id IS NOT NULL AND minute IS NULL) AS untimed,
       COUNT(*) FILTER (WHERE is_row AND in_window) AS in_window,
       COUNT(*) FILTER (WHERE is_row AND in_window AND reason IS NOT NULL) AS revised,
       COUNT(*) FILTER (WHERE is_row AND in_window AND reason IS NULL
         AND (value IS NULL OR value = CAST('NaN' AS DOUBLE PRECISION))) AS no_number,
       COUNT(*) FILTER (WHERE in_window AND reason IS NULL AND fits) AS fitting
FROM paired GROUP BY source, name, rank, unit ORDER BY source, name, unit
"""


def fill(
    query: str, window_hours: int, measurements: Sequence[Measurement], icu: tuple[str, ...]
) -> str:
    """EVENTS_QUERY or COUNTS_QUERY as SQL.

    Args:
        query: One of the two.
        window_hours: Length of the observation window.
        measurements: What is read.
        icu: The values of unitstaytype that are ICU stays, in small letters.

    Returns:
        A SELECT over the tables of eicu.py.
    """
    numbers = {key: number for number, key in enumerate(_codes(measurements))}
    rank = ranks(measurements)
    items = [
        _item(rows, name, numbers[rows.table, name], rank[m.name])
        for m in measurements
        for rows in m.eicu
        for name in rows.codes
    ]
    usual = dict.fromkeys(
        (name, unit)
        for m in measurements
        for rows in m.eicu
        if rows.table == "lab" and not rows.unit
        for name in rows.codes
        for unit in rows.read_as
    )
    pairs = ", ".join(f"({literal(name)}, {literal(unit)})" for name, unit in usual)
    charted = [
        SELECTS[table].format(usual=pairs, values=_chosen(names))
        for table, names in names_by_table(measurements).items()
    ]
    return query.format(
        items=", ".join(items),
        spellings=spelling_rows(),
        icu=", ".join(map(literal, icu)),
        charted="\n  UNION ALL".join(charted),
        minutes=60 * window_hours,
    )


def table_of_codes(measurements: Sequence[Measurement]) -> list[str]:
    """The raw table of each `code` in the rows of EVENTS_QUERY."""
    return [table for table, _ in _codes(measurements)]


def names_by_table(measurements: Sequence[Measurement]) -> dict[str, tuple[str, ...]]:
    """What is read of each raw table: names of tests and charts, or columns. Sorted."""
    found: dict[str, set[str]] = {}
    for table, name in _codes(measurements):
        found.setdefault(table, set()).add(name)
    return {table: tuple(sorted(names)) for table, names in found.items()}


def _codes(measurements: Sequence[Measurement]) -> list[tuple[str, str]]:
    """Table and name of what is read, each once."""
    return list(
        dict.fromkeys(
            (rows.table, name) for m in measurements for rows in m.eicu for name in rows.codes
        )
    )


def _item(rows: Rows, name: str, code: int, rank: int) -> str:
    """A row of `items`. Only results of the laboratory state their unit."""
    unit = literal(rows.unit) if rows.table == "lab" and rows.unit else "NULL"
    limits = (
        f"{_double(rows.limits.above)}, {_double(rows.limits.highest)},"
        f" {rows.limits.highest_counts}, {rows.means_one}, {rows.fahrenheit}"
    )
    texts = f"{literal(rows.table)}, {literal(name)}, {code}, {unit}"
    return f"({texts}, {rank}, {limits}, {_double(rows.factor)})"


def _double(number: float) -> str:
    return f"CAST({number} AS DOUBLE PRECISION)"


def _chosen(columns: Sequence[str]) -> str:
    """The column of a table of monitors that c.name names."""
    return f"CASE c.name {' '.join(f'WHEN {literal(c)} THEN {c}' for c in columns)} END"
