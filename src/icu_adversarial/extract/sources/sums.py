"""Measurements that are the sum of others where they are not charted themselves.

In MetaVision, only the components of the Glasgow Coma Scale are charted.
"""

from collections.abc import Sequence

from icu_adversarial.extract.events import ranks
from icu_adversarial.measurements import Measurement

# The sum of what a stay has at one time: one value of each part, and no charted total. It is no raw
# row: first_stay is false, so that no account counts it.
SUM = """
UNION ALL
SELECT stay_id, hour, {total}, SUM(value), -1, FALSE
FROM (
  SELECT DISTINCT stay_id, hour, rank, value FROM counted WHERE rank IN ({total}, {parts})
) AS values_of_{total}
GROUP BY stay_id, hour
HAVING COUNT(*) = {n} AND COUNT(DISTINCT rank) = {n} AND NOT BOOL_OR(rank = {total})
   AND SUM(value) > {above} AND SUM(value) {comparison} {highest}"""


def sums(measurements: Sequence[Measurement]) -> str:
    """The end of a query whose last table, `counted`, has the events: rows with the sums.

    Args:
        measurements: What is read. A sum needs all of its parts among them.

    Returns:
        SQL for DuckDB and PostgreSQL; empty if nothing is a sum.
    """
    rank = ranks(measurements)
    return "".join(
        SUM.format(
            total=rank[m.name],
            parts=", ".join(str(rank[name]) for name in m.sum_of),
            n=len(m.sum_of),
            above=m.limits.above,
            comparison="<=" if m.limits.highest_counts else "<",
            highest=m.limits.highest,
        )
        for m in measurements
        if m.sum_of and rank.keys() >= set(m.sum_of)
    )
