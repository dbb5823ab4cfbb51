"""From the sorted rows of a source to batches of tables.EVENTS. Identical rows count once."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from icu_adversarial.core.schemas import EVENTS, measurement_column
from icu_adversarial.extract.account import DUPLICATE, KEPT, Account
from icu_adversarial.measurements import Measurement

KEY = ("stay_id", "hour", "rank", "value", "code")  # rows that agree in these are identical


def ranks(measurements: Sequence[Measurement]) -> dict[str, int]:
    """The order of the measurements within an hour: by name."""
    return {name: rank for rank, name in enumerate(sorted(m.name for m in measurements))}


def to_events(
    batches: Iterable[pa.RecordBatch], tables: Sequence[str], account: Account
) -> Iterator[pa.RecordBatch]:
    """Batches of tables.EVENTS. The rows are counted in `account` as kept or as duplicates.

    A rank stands for a measurement, because a server sorts text by its own locale. Values come in
    double precision, because PostgreSQL refuses what float32 holds as 0.

    Args:
        batches: stay_id, hour, rank (of `ranks`), value, code (an index of `tables`) and
            first_stay (whether the stay is the first that the raw row belongs to), sorted by all
            of them in this order.
        tables: The raw table of each code.
        account: What counts the rows. A row that belongs to two stays counts once.
    """
    number = np.argsort(account.names)  # of each rank, the measurement's place in account.names
    last: list[np.generic] = []
    for batch in batches:
        if not len(batch):
            continue
        columns = [batch[name].to_numpy(zero_copy_only=False) for name in KEY]
        repeated = np.ones(len(batch), bool)
        for place, column in enumerate(columns):
            repeated[1:] &= column[1:] == column[:-1]
            repeated[0] &= bool(last) and column[0] == last[place]
        last = [column[-1] for column in columns]
        rank, code = columns[2], columns[4]
        first = batch["first_stay"].to_numpy(zero_copy_only=False)
        for reason, chosen in ((KEPT, first & ~repeated), (DUPLICATE, first & repeated)):
            counts = np.bincount(code[chosen] * len(number) + rank[chosen])
            for group in np.flatnonzero(counts).tolist():
                table, place = tables[group // len(number)], number[group % len(number)]
                account.add(table, account.names[place], reason, counts[group])
        if repeated.any():
            batch = batch.filter(pa.array(~repeated))
            rank = rank[~repeated]
        values = [
            batch["stay_id"],
            batch["hour"],
            measurement_column(number[rank], account.names),
            batch["value"].cast(pa.float32(), safe=False),
        ]
        yield pa.RecordBatch.from_arrays(values, schema=EVENTS)
