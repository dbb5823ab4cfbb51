"""Columns in another type, in DuckDB's SQL."""

from icu_adversarial.extract.storage.views import MEASURED, sql_type

# Times are read as the wall clock of UTC, whatever the time zone of the machine. DuckDB drops the
# zone of a text that it casts to TIMESTAMP; only a text with a zone takes the slower way round.
HAS_ZONE = (
    "typeof({0}) = 'VARCHAR' AND NOT (length(CAST({0} AS VARCHAR)) = 19"
    " AND substr(CAST({0} AS VARCHAR), 17, 1) = ':')"
    " AND regexp_matches(substr(CAST({0} AS VARCHAR), 12), '[-+A-Za-z]')"
)


def cast_sql(column: str, kind: str, cast: str = "CAST") -> str:
    """SQL of a column in another type.

    Args:
        column: The column, as an identifier.
        kind: The type, as in a Table.
        cast: CAST or TRY_CAST.
    """
    plain = f"{cast}({column} AS {sql_type(kind)})"
    if kind == MEASURED:
        nan = f"CASE WHEN {column} IS NOT NULL THEN CAST('NaN' AS DOUBLE) END"
        return f"coalesce(TRY_CAST({column} AS DOUBLE), {nan})"
    if kind != "TIMESTAMP":
        return plain
    in_utc = f"{cast}({cast}({column} AS TIMESTAMPTZ) AS TIMESTAMP)"
    return f"CASE WHEN {HAS_ZONE.format(column)} THEN {in_utc} ELSE {plain} END"
