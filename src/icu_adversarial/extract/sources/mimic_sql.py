"""The queries of the events of MIMIC, in the SQL that DuckDB and PostgreSQL share."""

from math import inf, nextafter

from icu_adversarial.extract.account import ERROR, IMPLAUSIBLE, NO_NUMBER, UNIT
from icu_adversarial.extract.events import ranks
from icu_adversarial.extract.sources.mimic_stays import HOURS
from icu_adversarial.extract.sources.sums import sums
from icu_adversarial.extract.storage.views import literal
from icu_adversarial.extract.units import spelling_rows
from icu_adversarial.measurements import Limits, Measurement, Rows

# paired: each raw row of a chosen item with each stay of its subject, or with none.
# in_window: the event belongs to every stay of its subject whose window contains its time, unless
# it names another admission or ICU stay. The hour is rounded to float32 before it is compared with
# the window's end. first_stay: no earlier stay has the row in its window.
# usual: the units of each kind of item. A row that states another one does not count. A spelling
# that is not in `spellings` says nothing: the item decides, as in mimic-code.
# other: a second range of values of the item, in another unit; null if there is none.
# reason: why the row does not count although it is in the window.
EARLIER = "CASE WHEN e.hadm_id IS NULL THEN s.before ELSE s.before_same END"
PAIRS = f"""
WITH {{stays}}, items(itemid, code, rank, above, at_most, fahrenheit, factor, other_above,
                 other_at_most, other_factor, means_one, kind) AS (VALUES {{items}}),
spellings(spelling, unit) AS (VALUES {{spellings}}),
charted(source, subject_id, hadm_id, stay_id, itemid, charttime, valuenum, valueuom, flagged) AS (
  {{charted}}
), paired AS (
  SELECT e.source, s.stay_id, i.code, i.rank, s.nth, e.charttime,
         CASE WHEN e.stay_id IS NOT NULL THEN e.stay_id = s.stay_id
              WHEN e.hadm_id IS NOT NULL THEN s.nth_of_admission = 1 ELSE s.nth = 1 END
           AND COALESCE(e.hadm_id, s.hadm_id) = s.hadm_id AS chosen,
         CAST({HOURS.format("e.charttime", "s.intime")} AS REAL) AS hour,
         e.charttime >= s.intime AND e.charttime < s.intime + INTERVAL '{{window_hours}} hours'
           AND (e.hadm_id IS NULL OR e.hadm_id = s.hadm_id)
           AND (e.stay_id IS NULL OR e.stay_id = s.stay_id) AS in_window,
         COALESCE(e.stay_id IS NOT NULL
           OR CAST({HOURS.format("e.charttime", EARLIER)} AS REAL) >= {{window_hours}}, TRUE)
           AS first_stay,
         CASE WHEN i.means_one THEN 1 WHEN i.fahrenheit THEN (e.valuenum - 32) / 1.8
              WHEN e.valuenum > i.above AND e.valuenum <= i.at_most THEN e.valuenum * i.factor
              ELSE e.valuenum * i.other_factor END AS value,
         CASE WHEN e.flagged THEN {literal(ERROR)}
              WHEN e.valuenum IS NULL OR e.valuenum = CAST('NaN' AS DOUBLE PRECISION)
              THEN {literal(NO_NUMBER)}
              WHEN u.unit IS NOT NULL AND NOT i.means_one AND (i.kind, u.unit) NOT IN ({{usual}})
              THEN {literal(UNIT)}
              WHEN e.valuenum > i.above AND e.valuenum <= i.at_most
                OR e.valuenum > i.other_above AND e.valuenum <= i.other_at_most THEN NULL
              ELSE {literal(IMPLAUSIBLE)} END AS reason
  FROM charted e JOIN items i ON i.itemid = e.itemid
  {{join}} JOIN stays s ON s.subject_id = e.subject_id
  LEFT JOIN spellings u ON u.spelling =
    LOWER(TRANSLATE(REPLACE(e.valueuom, ' ', ''), 'µμ', 'uu'))
)
"""
LABS = """
SELECT 'labevents', subject_id, hadm_id, NULL, itemid, {time}, valuenum, valueuom, FALSE
FROM labevents"""
EVENTS_QUERY = f"""{PAIRS}, counted AS (
  SELECT stay_id, hour, rank, value, code, first_stay FROM paired
  WHERE in_window AND reason IS NULL AND hour < {{window_hours}}
)
SELECT * FROM counted{{sums}}
ORDER BY stay_id, hour, rank, value, code, first_stay
"""
# chosen is true for at most one pair of a row, that with the first stay that the row may belong to.
# rows_read: all rows. of_stay: rows that may belong to a stay. counted: rows in a stay's window.
COUNTS_QUERY = f"""{PAIRS}
SELECT source, rank, reason, COUNT(*) FILTER (WHERE nth IS NULL OR nth = 1) AS rows_read,
       COUNT(*) FILTER (WHERE chosen) AS of_stay,
       COUNT(*) FILTER (WHERE chosen AND charttime IS NULL) AS untimed,
       COUNT(*) FILTER (WHERE in_window AND hour < {{window_hours}} AND first_stay) AS counted
FROM paired GROUP BY source, rank, reason
"""


def fill(
    query: str,
    window_hours: int,
    measurements: tuple[Measurement, ...],
    stays: str,
    charted: dict[str, str],
) -> str:
    """EVENTS_QUERY or COUNTS_QUERY as SQL.

    Args:
        query: One of the two.
        window_hours: Length of the observation window.
        measurements: What is read.
        stays: Common table expressions, the last of them `stays`.
        charted: SELECT of the columns of `charted` from each table that is read.
    """
    # An item id has one meaning in all tables together: ids alone identify items.
    entries, rank = _items(measurements), ranks(measurements)
    kinds = list(dict.fromkeys(_units(rows[0]) for _, rows in entries.values()))
    items = ", ".join(
        f"({itemid}, {code}, {rank[name]}, {_ranges(rows)}, {kinds.index(_units(rows[0]))})"
        for code, (itemid, (name, rows)) in enumerate(entries.items())
    )
    usual = [f"({n}, {literal(unit)})" for n, units in enumerate(kinds) for unit in units]
    return query.format(
        stays=stays,
        charted="\n  UNION ALL\n".join(charted.values()),
        items=items,
        spellings=spelling_rows(),
        usual=", ".join(usual or ["(-1, '')"]),  # a list in SQL is never empty
        sums=sums(measurements),
        window_hours=window_hours,
        join="LEFT" if query == COUNTS_QUERY else "INNER",
    )


def tables(measurements: tuple[Measurement, ...]) -> list[str]:
    """The raw table of each `code` in the rows of EVENTS_QUERY."""
    return [rows[0].table for _, rows in _items(measurements).values()]


def _items(measurements: tuple[Measurement, ...]) -> dict[str, tuple[str, list[Rows]]]:
    """Item id → its measurement, and its entries in the dictionary: one or two ranges of values."""
    found: dict[str, tuple[str, list[Rows]]] = {}
    for m in measurements:
        for rows in m.mimic:
            for itemid in rows.codes:
                found.setdefault(itemid, (m.name, []))[1].append(rows)
    return found


def _ranges(rows: list[Rows]) -> str:
    """The columns above to means_one of an item."""
    first, other = rows[0], [*rows, None][1]
    second = ["CAST(NULL AS DOUBLE PRECISION)"] * 3
    if other:
        second = [_double(v) for v in (other.limits.above, _at_most(other.limits), other.factor)]
    low, high, factor = (
        _double(v) for v in (first.limits.above, _at_most(first.limits), first.factor)
    )
    ranges = (low, high, str(first.fahrenheit), factor, *second, str(first.means_one))
    return ", ".join(ranges)


def _units(rows: Rows) -> tuple[str, ...]:
    """The units that rows of an item may state."""
    return (rows.unit,) if rows.unit else rows.read_as


def _at_most(limits: Limits) -> float:
    """The largest value that counts."""
    return limits.highest if limits.highest_counts else nextafter(limits.highest, -inf)


def _double(value: float) -> str:
    """As text, since DuckDB makes a decimal of a number with a point, which lacks digits."""
    return f"CAST('{value}' AS DOUBLE PRECISION)"
