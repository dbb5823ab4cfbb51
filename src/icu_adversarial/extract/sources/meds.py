"""MEDS, the Medical Event Data Standard: a folder with data/**/*.parquet and a map of its codes.

MEDS knows subjects, times and codes. A stay opens with a code of ICU admission, and its number is
its rank by subject and time. registry.py calls this reader.

Which marks belong to a stay:
- Where the data have a column hadm_id, as MIMIC_IV_MEDS writes, marks of another admission do not
  belong to it. Marks that name no admission are assigned by time, as follows.
- It ends with the next discharge from the ICU, or the next ICU admission if that comes first.
- Its admission to the hospital is the last one before its end, which may follow the ICU admission
  by minutes. It is unknown where a discharge from the hospital lies between the two.
- Its discharge from the hospital is the first after the ICU admission and before the next
  admission to the hospital. Without one, the outcome is unknown.
- Marks after the next admission to the hospital never belong to it.

Outcome: with a code of hospital death in the data, that code decides; a patient who left alive
after the recorded day of death has an unknown outcome. Without such a code, a death from the ICU
admission to the discharge from the hospital is one in the hospital.

A death in the hospital is one in the ICU if it, or the discharge from the hospital, is not after
the end of the stay in the ICU. That is unknown where the death is known to the day and the stay
ends on that day. The day of death is that of the first code of death or hospital death. A patient
without one is taken to live for a year after the last discharge, as in MIMIC-IV, if the data have
at least one death after a discharge. Other data do not know such deaths.

A discharge or death at exactly 00:00 is known only to the day. It may be at any time of that day,
and its hour is the day's last second, but no later than a discharge with a time of day. A death
before the ICU admission gives a negative death_hour.

An event belongs to every stay of its subject whose window contains its time, unless it names
another admission. Times with a time zone are read as UTC. The fraction of inspired oxygen is read
as a percentage or as a share, as in MIMIC.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.account import OF_STAYS, Account
from icu_adversarial.extract.events import ranks, to_events
from icu_adversarial.extract.records import Records
from icu_adversarial.extract.sources.code_map import read_code_map
from icu_adversarial.extract.sources.meds_files import SPLITS, open_meds
from icu_adversarial.extract.sources.meds_sql import (
    CHECKS_QUERY,
    CODES_QUERY,
    COUNTS_QUERY,
    EVENTS_QUERY,
    MARKS_QUERY,
    STAYS_QUERY,
)
from icu_adversarial.extract.sources.sums import sums
from icu_adversarial.extract.storage.duck import BATCH_ROWS
from icu_adversarial.measurements import Measurement

TABLE = "events"
HOURS = ("age", "admit_hour", "discharge_hour", "out_hour", "death_hour")


def read(
    raw: Path, window_hours: int, measurements: tuple[Measurement, ...], code_map: Path
) -> Records:
    """Read every Parquet file below `raw`/data, and the splits in `raw`/metadata if there.

    A stay's source_group is its subject's split, "meds" without one. hadm_id is the column of that
    name, else the rank of the admission by subject and time; it is null where it is unknown.

    Args:
        raw: Root of the MEDS data set.
        window_hours: Length of the observation window.
        measurements: What to read.
        code_map: The file of read_code_map.

    Returns:
        Stays, events, and the ICU admissions without a time, which are no stays.

    Raises:
        InputError: A missing folder, file or column, an unreadable file or code map, a code that
            the map takes for two measurements, a subject in two splits, a row without a subject,
            or data without an ICU admission or a measurement.
    """
    rank = ranks(measurements)
    meanings = pd.DataFrame(read_code_map(code_map, list(rank)))
    limits = pd.DataFrame([_limits(m, rank[m.name]) for m in measurements])
    with open_meds(raw, limits=limits, meanings=meanings) as connection:
        codes = connection.sql(CODES_QUERY).df().rename_axis("code_number").reset_index()
        _check(raw, code_map, codes, list(rank))
        connection.register("codes", codes)
        counts = connection.sql(CHECKS_QUERY).df().iloc[0]
        if counts["without_subject"]:
            raise InputError(f"{raw}: {counts['without_subject']} rows have no subject_id")
        if counts["in_two_splits"]:
            raise InputError(
                f"{raw / SPLITS}: {counts['in_two_splits']} subjects are in two splits"
            )
        coded = bool((codes["stands_for"] == "hospital_death").any())
        stays = connection.sql(STAYS_QUERY.replace("{deaths_are_coded}", str(coded))).df()
    if stays.empty:
        raise InputError(f"{raw}: no ICU admission has a time")
    described = stays.drop(columns=["years", "named_hadm_id", "intime"]).astype(
        dict.fromkeys(HOURS, "float32")
        | dict.fromkeys(("died", "icu_died"), "boolean")
        | dict.fromkeys(("death_day", "followed_days"), "Int32")
        | {"hadm_id": "Int64"}
    )
    untimed = int(counts["without_time"])
    account = Account([m.name for m in measurements])
    return Records(
        described,
        _events(raw, window_hours, limits, codes, stays, sums(measurements), account),
        account,
        {"ICU admissions without a time": untimed} if untimed else {},
    )


def _limits(measurement: Measurement, rank: int) -> dict[str, object]:
    """The values of a measurement that count, as a row of the table `limits` of the queries.

    other: a second range of values, in another unit, if MIMIC has one; otherwise NaN. The fraction
    of inspired oxygen has one, the share of 1.
    """
    limit = measurement.limits
    second = next((row for row in measurement.mimic if not row.unit and row.factor != 1), None)
    above, at_most, factor = (
        (second.limits.above, second.limits.highest, second.factor) if second else (math.nan,) * 3
    )
    return {
        "measurement": measurement.name,
        "rank": rank,
        "above": limit.above,
        "below": limit.highest,
        "below_counts": limit.highest_counts,
        "is_binary": measurement.kind == "binary",
        "other_above": above,
        "other_at_most": at_most,
        "other_factor": factor,
    }


def _check(raw: Path, code_map: Path, codes: pd.DataFrame, names: list[str]) -> None:
    measured = codes.loc[codes["stands_for"].isin(names), "code"]
    if measured.empty:
        raise InputError(f"{raw}: none of its codes stands for a measurement in {code_map}")
    if not (codes["stands_for"] == "icu_admission").any():
        raise InputError(f"{raw}: none of its codes stands for icu_admission in {code_map}")
    if len(twice := measured[measured.duplicated()]):
        raise InputError(
            f"extract.code_map: {code_map}: {twice.nunique()} codes stand for several "
            f"measurements, the first is {twice.iloc[0]}"
        )


def _events(
    raw: Path,
    window_hours: int,
    limits: pd.DataFrame,
    codes: pd.DataFrame,
    stays: pd.DataFrame,
    sums_sql: str,
    account: Account,
) -> Iterator[pa.RecordBatch]:
    """Batches of tables.EVENTS; `account` is complete when the last one is read."""
    needed = stays[["stay_id", "subject_id", "intime", "named_hadm_id"]].astype(
        {"named_hadm_id": "Int64"}
    )
    with open_meds(raw, limits=limits, codes=codes, stays=needed) as connection:
        counts = connection.sql(COUNTS_QUERY.format(window_hours=window_hours)).df()
        names = sorted(account.names)
        for rank, reason, count in counts.itertuples(index=False):
            name = names[rank]
            account.add_read(TABLE, name, count)
            if not pd.isna(reason):
                account.add(TABLE, name, reason, count)
        for reason, count in connection.sql(MARKS_QUERY).df().itertuples(index=False):
            account.add_read(TABLE, OF_STAYS, count)
            account.add(TABLE, OF_STAYS, reason, count)
        total = connection.sql("SELECT count(*) AS n FROM events").df()["n"].iloc[0]
        account.add_unmapped(TABLE, total)
        query = connection.sql(EVENTS_QUERY.format(window_hours=window_hours, sums=sums_sql))
        tables = [TABLE] * len(codes)
        yield from to_events(query.to_arrow_reader(BATCH_ROWS), tables, account)
    account.check(raw)
