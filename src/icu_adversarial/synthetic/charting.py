"""The charts of the synthetic hospital: what nurses write down on their rounds.

They have the irregular times and the mistakes of real charts. Times are whole seconds. Within a
chunk of N stays, a row has the number of its stay, 0..N-1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from icu_adversarial.synthetic.admitting import HOUR
from icu_adversarial.synthetic.items import (
    CHART_ITEMS,
    FAHRENHEIT,
    HABIT_CHANCE,
    ITEM_TEXTS,
    TEMPERATURE,
)
from icu_adversarial.synthetic.physiology import (
    HOURS,
    LAST_HOUR,
    Course,
    readings,
)
from icu_adversarial.synthetic.variables import COLUMN, VARIABLES

ROUNDS = LAST_HOUR + 1  # one for each clock hour, from the hour of the ICU admission
EARLY = HOUR // 2  # seconds before the ICU admission in which a round belongs to the stay
GARBAGE = np.array([0.0, -1.0, 999999.0, 2222221.7])  # impossible values that real charts have
# Shares of the chart rows: marked as error, an impossible value, text instead of a number.
ERROR_SHARE, GARBAGE_SHARE, TEXT_SHARE = 0.006, 0.003, 0.004
DECIMALS = np.array([v.decimals for v in VARIABLES])


@dataclass(frozen=True)
class Chunk:
    """N consecutive ICU stays.

    subject_id, hadm_id, icustay_id: The ids of MIMIC-III, (N,).
    dbsource: The charting system, (N,): 0 CareVue, 1 MetaVision.
    admit, intime, outtime: Times of the admission and of the ICU stay, (N,), seconds since 1970.
    free: End of the subject's previous ICU stay, likewise.
    baseline: The subject's own level of each variable, (N, 20), standard normal.
    course: The illness.
    """

    subject_id: np.ndarray
    hadm_id: np.ndarray
    icustay_id: np.ndarray
    dbsource: np.ndarray
    admit: np.ndarray
    intime: np.ndarray
    outtime: np.ndarray
    free: np.ndarray
    baseline: np.ndarray
    course: Course


def rounded(values: np.ndarray, decimals: np.ndarray) -> np.ndarray:
    """Values rounded to their numbers of decimals."""
    unit = 10.0**decimals
    return np.rint(values * unit) / unit


def texts(values: np.ndarray, missing: np.ndarray, text: str) -> pa.Array:
    """Values as the text in the column `value`: a word or nothing where the number is missing."""
    numbers = pa.array(values).cast(pa.string())
    words = pa.array([None, text]).take(pa.array(np.arange(len(values)) % 2))
    return pc.if_else(pa.array(missing), words, numbers)


def _round_times(
    chunk: Chunk, sickness: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """When nurses chart: one round about every full clock hour, sometimes a second one.

    Returns:
        Times in seconds after the ICU admission, and whether the round took place, each
        (N, 2 * ROUNDS).
    """
    n = len(chunk.intime)
    start = -(chunk.intime % HOUR)  # the full clock hour at or before admission
    on_the_hour = rng.random((n, ROUNDS)) < 0.7
    # rows exactly at both ends of the window
    on_the_hour[chunk.intime % HOUR == 0] |= (np.arange(ROUNDS) == 0) | (np.arange(ROUNDS) == 48)
    minute = np.where(on_the_hour, 0, rng.integers(1, 60, (n, ROUNDS)))
    times = (
        start[:, None, None]
        + HOUR * np.arange(ROUNDS)[:, None]
        + 60 * np.stack([minute, rng.integers(1, 60, (n, ROUNDS))], axis=2)
    )
    chance = np.stack([np.full((n, ROUNDS), 0.95), 0.04 + 0.03 * sickness[:, -HOURS[0] :]], axis=2)
    held = rng.random((n, ROUNDS, 2)) < chance
    gap_start = rng.integers(3, ROUNDS, n)[:, None]  # a scan or an operation
    gap_end = gap_start + np.where(rng.random(n) < 0.4, rng.integers(2, 8, n), 0)[:, None]
    hour = np.arange(ROUNDS)
    held &= ~((hour >= gap_start) & (hour < gap_end))[:, :, None]
    held[:, 1, 0] = True  # so every stay of two hours has a chart
    stay_length = (chunk.outtime - chunk.intime)[:, None, None]
    held &= (times >= -EARLY) & (times <= np.minimum(stay_length, LAST_HOUR * HOUR))
    return times.reshape(n, -1), held.reshape(n, -1)


def _charted(
    chunk: Chunk, sickness: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The charted values: stay, seconds after the ICU admission, and place in CHART_ITEMS."""
    n, kinds = len(chunk.intime), len(CHART_ITEMS)
    times, held = _round_times(chunk, sickness, rng)
    habits = rng.random((n, len(HABIT_CHANCE))) < HABIT_CHANCE * (
        0.7 + 0.3 * sickness[:, -HOURS[0], None]
    )
    habits = np.column_stack([habits, np.zeros(n, bool)])  # the last one is habit -1, "none"
    chance = np.stack(
        [np.where(habits[:, item.habit], item.chance[1], item.chance[0]) for item in CHART_ITEMS],
        axis=1,
    )
    draw = rng.random((n, held.shape[1], kinds))
    draw[:, :, 2], draw[:, :, 4] = draw[:, :, 1], draw[:, :, 3]  # a pressure is charted as a pair
    stay, slot, kind = np.nonzero(held[:, :, None] & (draw < chance[:, None, :]))
    return stay, times[stay, slot], kind


def _item_ids(
    n: int, stay: np.ndarray, kind: np.ndarray, system: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The item id of each charted value. Each of the n stays uses one id for a kind."""
    kinds = len(CHART_ITEMS)
    share = np.array([item.other_shares for item in CHART_ITEMS])
    share_draw = rng.random((n, kinds))
    share_draw[:, 2], share_draw[:, 4] = share_draw[:, 1], share_draw[:, 3]
    # axes: kind; usual or other id; charting system
    ids = np.array([(item.ids, item.other_ids) for item in CHART_ITEMS])
    return ids[kind, (share_draw[stay, kind] < share[kind, system]).astype(int), system]


def _with_mistakes(
    value: np.ndarray,
    kind: np.ndarray,
    system: np.ndarray,
    fahrenheit: np.ndarray,
    decimals: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values with mistakes, which of them are marked as errors, and which are not numbers."""
    size = len(value)
    fate = rng.random(size)
    marked = (fate < ERROR_SHARE) & (system == 1)
    value = np.where(marked, rounded(value * rng.uniform(0.5, 1.6, size), decimals), value)
    garbage = (fate >= ERROR_SHARE) & (fate < ERROR_SHARE + GARBAGE_SHARE)
    other_unit = rounded(np.where(fahrenheit, (value - 32) / 1.8, value * 1.8 + 32), decimals)
    wrong = np.where(
        (kind == TEMPERATURE) & (rng.random(size) < 0.6), other_unit, rng.choice(GARBAGE, size)
    )
    value = np.where(garbage, wrong, value)
    return value, marked, fate > 1 - TEXT_SHARE


def chart(
    chunk: Chunk, state: np.ndarray, sickness: np.ndarray, rng: np.random.Generator
) -> dict[str, Any]:
    """The columns of CHARTEVENTS, without row_id. Times are seconds since 1970.

    Args:
        chunk: N stays.
        state: The result of `physiology.trajectories`.
        sickness: (N, len(HOURS)), the strength of the illness, about 1 on average.
        rng: The random numbers.
    """
    stay, seconds, kind = _charted(chunk, sickness, rng)
    system = chunk.dbsource[stay]
    itemid = _item_ids(len(chunk.intime), stay, kind, system, rng)
    variable = np.array([COLUMN[item.variable] for item in CHART_ITEMS])[kind]
    decimals = DECIMALS[variable]
    value = readings(state, stay, seconds / HOUR, variable, rng)
    fahrenheit = np.isin(itemid, FAHRENHEIT)
    value = rounded(np.where(fahrenheit, value * 1.8 + 32, value), decimals)
    value, marked, missing = _with_mistakes(value, kind, system, fahrenheit, decimals, rng)
    size = len(value)
    charttime = chunk.intime[stay] + seconds
    uom = {itemid: texts[4] for itemid, texts in ITEM_TEXTS.items()}
    known = np.array(sorted(uom))
    metavision = pa.array(system == 1)
    return {
        "subject_id": chunk.subject_id[stay],
        "hadm_id": chunk.hadm_id[stay],
        "icustay_id": chunk.icustay_id[stay],
        "itemid": itemid,
        "charttime": charttime,
        "storetime": charttime + 60 * rng.integers(1, 90, size),
        "cgid": rng.integers(14000, 22000, size),
        "value": texts(value, missing, "Unable to Assess"),
        "valuenum": pa.array(value, mask=missing),
        "valueuom": pa.array([uom[int(i)] for i in known]).take(
            pa.array(np.searchsorted(known, itemid))
        ),
        "warning": pc.if_else(
            metavision, pa.array((rng.random(size) < 0.05).astype(np.int32)), None
        ),
        "error": pc.if_else(metavision, pa.array(marked.astype(np.int32)), None),
        "resultstatus": pa.nulls(size, pa.string()),
        "stopped": pa.array(["NotStopd", None]).take(pa.array(system)),
    }
