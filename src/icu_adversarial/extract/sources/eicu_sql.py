"""The queries of eicu.py, in the SQL that DuckDB and PostgreSQL share."""

from icu_adversarial.extract.sources.eicu_units import CONVERSIONS, SPELLINGS, USUAL, Conversion
from icu_adversarial.extract.storage.database import RANKS
from icu_adversarial.extract.storage.views import literal
from icu_adversarial.measurements import MEASUREMENTS, Items, Measurement

STAYS_QUERY = "SELECT * FROM patient ORDER BY patientunitstayid"
# unit: null for the usual unit of the test, and for a unit of unknown spelling; the sign for micro
# reads as u. Of a laboratory result and its revisions, the last counts.
LABS = """
items(source, name, unit, rank, above, below, below_counts, fahrenheit, factor) AS (
  VALUES {items}
), spellings(spelling, unit) AS (
  VALUES {spellings}
), stays AS (
  SELECT patientunitstayid FROM patient WHERE LOWER(TRIM(unitstaytype)) IN ({icu})
), labs AS (
  SELECT 'lab' AS source, l.patientunitstayid, labresultoffset AS minute, labname AS name,
         labresult AS value, CASE WHEN (labname, s.unit) IN ({usual}) THEN NULL ELSE s.unit END
         AS unit
  FROM (
    SELECT *, MAX(labresultrevisedoffset) OVER (
      PARTITION BY patientunitstayid, labname, labresultoffset
    ) AS last_revision FROM lab
  ) l LEFT JOIN spellings s ON s.spelling =
    LOWER(REGEXP_REPLACE(REPLACE(labmeasurenameinterface, ' ', ''), '[^ -~]', 'u', 'g'))
  WHERE labresultrevisedoffset IS NOT DISTINCT FROM last_revision
)"""
# A nurse's value counts in the hours that have none from a monitor: nurses also copy what the
# monitor shows. Both pressures count, from the arterial line (vitalPeriodic) and the cuff
# (vitalAperiodic), as in MIMIC. The order is total: the same bytes on every run.
EVENTS_QUERY = f"""WITH {LABS}, charted(source, patientunitstayid, minute, name, value, unit) AS (
  SELECT * FROM labs
  UNION ALL
  SELECT 'vitalperiodic', patientunitstayid, observationoffset, c.name, {{vitalperiodic}}, NULL
  FROM vitalperiodic
  CROSS JOIN (SELECT DISTINCT name FROM items WHERE source = 'vitalperiodic') c
  UNION ALL
  SELECT 'vitalaperiodic', patientunitstayid, observationoffset, c.name, {{vitalaperiodic}}, NULL
  FROM vitalaperiodic
  CROSS JOIN (SELECT DISTINCT name FROM items WHERE source = 'vitalaperiodic') c
  UNION ALL
  SELECT 'nursecharting', patientunitstayid, nursingchartoffset, nursingchartcelltypevalname,
         CASE WHEN nursingchartvalue ~ '^-?[0-9]{{{{1,9}}}}([.][0-9]*)?$'
              THEN CAST(nursingchartvalue AS DOUBLE PRECISION) END, NULL
  FROM nursecharting
), counted AS (
  SELECT c.source, c.patientunitstayid AS stay_id, c.minute, i.rank,
         CASE WHEN i.fahrenheit THEN (c.value - 32) / 1.8 ELSE c.value * i.factor END AS value
  FROM charted c
  JOIN items i ON i.source = c.source AND i.name = c.name AND i.unit IS NOT DISTINCT FROM c.unit
  JOIN stays p ON p.patientunitstayid = c.patientunitstayid
  WHERE c.minute >= 0 AND c.minute < {{minutes}} AND c.value > i.above
    AND (c.value < i.below OR (i.below_counts AND c.value = i.below))
), monitored AS (
  SELECT DISTINCT stay_id, rank, minute - minute % 60 AS full_hour FROM counted
  WHERE source <> 'nursecharting'
), events AS (
  SELECT stay_id, minute, rank, value FROM counted WHERE source <> 'nursecharting'
  UNION ALL
  SELECT n.stay_id, n.minute, n.rank, n.value
  FROM counted n LEFT JOIN monitored m
    ON m.stay_id = n.stay_id AND m.rank = n.rank AND m.full_hour = n.minute - n.minute % 60
  WHERE n.source = 'nursecharting' AND m.stay_id IS NULL
)
SELECT stay_id, CAST(minute / CAST(60 AS DOUBLE PRECISION) AS REAL) AS hour, rank, value
FROM events ORDER BY stay_id, hour, rank, value
"""
# Results in a unit of another kind that no conversion fits, neither by its unit nor by its size.
LEFT_OUT_QUERY = f"""WITH {LABS}
SELECT l.name || ' in ' || l.unit AS reason, COUNT(*) AS count
FROM labs l JOIN stays p ON p.patientunitstayid = l.patientunitstayid
WHERE l.unit IS NOT NULL AND l.value IS NOT NULL AND l.minute >= 0 AND l.minute < {{minutes}}
  AND l.name IN (SELECT name FROM items WHERE source = 'lab')
  AND NOT EXISTS (
    SELECT 1 FROM items i WHERE i.source = 'lab' AND i.name = l.name AND i.unit = l.unit
      AND l.value > i.above AND l.value <= i.below
  )
GROUP BY l.name, l.unit ORDER BY reason
"""


def fill(
    query: str, window_hours: int, measurements: tuple[Measurement, ...], icu: tuple[str, ...]
) -> str:
    """EVENTS_QUERY or LEFT_OUT_QUERY as SQL.

    Args:
        query: One of the two.
        window_hours: Length of the observation window.
        measurements: What is read.
        icu: The values of unitstaytype that are ICU stays, in small letters.

    Returns:
        A SELECT over the tables of eicu.py.
    """
    items = [
        _item(i, name, None, RANKS[m.name])
        for m in measurements
        for i in m.eicu
        for name in i.names
    ]
    rank = {name: RANKS[m.name] for m in measurements for i in m.eicu for name in i.names}
    converted = [(c, rank[c.test]) for c in CONVERSIONS if c.test in rank]
    items += [_item(_converted(c), c.test, c.unit, place) for c, place in converted]
    spellings = [(spelling, unit) for unit, all_of in SPELLINGS.items() for spelling in all_of]
    usual = [(test, unit) for test, units in USUAL.items() for unit in units]
    return query.format(
        items=", ".join(items),
        spellings=", ".join(f"({literal(s)}, {literal(u)})" for s, u in spellings),
        usual=", ".join(f"({literal(t)}, {literal(u)})" for t, u in usual),
        icu=", ".join(map(literal, icu)),
        vitalperiodic=_chosen("vitalperiodic"),
        vitalaperiodic=_chosen("vitalaperiodic"),
        minutes=60 * window_hours,
    )


def _converted(c: Conversion) -> Items:
    return Items("lab", names=(c.test,), above=c.above, below=c.at_most, factor=c.factor)


def _item(i: Items, name: str, unit: str | None, rank: int) -> str:
    """A row of `items`."""
    texts = f"{literal(i.table)}, {literal(name)}, {'NULL' if unit is None else literal(unit)}"
    limits = f"{_double(i.above)}, {_double(i.below)}, {i.below_counts}, {i.fahrenheit}"
    return f"({texts}, {rank}, {limits}, {_double(i.factor)})"


def _double(number: float) -> str:
    return f"CAST({number} AS DOUBLE PRECISION)"


def _chosen(table: str) -> str:
    """The column of a table of monitors that c.name names."""
    columns = {name for m in MEASUREMENTS for i in m.eicu if i.table == table for name in i.names}
    return f"CASE c.name {' '.join(f'WHEN {literal(c)} THEN {c}' for c in sorted(columns))} END"
