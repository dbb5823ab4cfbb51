"""What the synthetic hospital writes down: nurses' rounds and laboratory draws, with the irregularities and mistakes of real charts.

Times are whole seconds; within a chunk of N stays a row names its stay by number 0..N-1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from icu_adversarial.measurements import MEASUREMENTS, NAMES
from icu_adversarial.synthetic.admitting import HOUR
from icu_adversarial.synthetic.items import (
    CHART_ITEMS,
    FAHRENHEIT,
    HABIT_CHANCE,
    ITEM_TEXTS,
    LAB_ITEMS,
    MORNING_CHANCE,
    PANEL_CHANCE,
    PANEL_HABIT,
    TEMPERATURE,
)
from icu_adversarial.synthetic.physiology import (
    COLUMN,
    HOURS,
    LAST_HOUR,
    VARIABLES,
    Course,
    illness,
    readings,
    trajectories,
)

ROUNDS = LAST_HOUR + 1  # one for each clock hour from that of the ICU admission on
EARLY = HOUR // 2  # rounds up to this long before ICU admission stay in the chart
GARBAGE = np.array([0.0, -1.0, 999999.0, 2222221.7])  # values that charts hold and bodies do not
ERROR_SHARE, GARBAGE_SHARE, TEXT_SHARE = 0.006, 0.003, 0.004  # of the chart rows
LAB_FACTOR = 0.2  # the laboratory makes fewer such mistakes
NO_HADM_SHARE = 0.03  # of the draws after hospital admission; earlier ones never have a hadm_id
DECIMALS = np.array([v.decimals for v in VARIABLES])
UNBOUNDED = np.array(
    [m.items[0].below > 1e9 for m in MEASUREMENTS] + [True] * (len(VARIABLES) - len(NAMES))
)


@dataclass(frozen=True)
class Chunk:
    """N consecutive ICU stays: ids (N,), dbsource 0 CareVue | 1 MetaVision (N,); admit, intime, outtime, free (N,) in seconds, absolute
    (free: end of the subject's previous ICU stay); baseline (N, 20) of the subject; course."""

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


def events(chunk: Chunk, rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of CHARTEVENTS and LABEVENTS of these stays, without row_id; times in seconds since 1970."""
    ill = illness(chunk.course)
    state = trajectories(ill, chunk.baseline, rng)
    sickness = ill.mean(axis=2) / 0.7  # about 1 on average
    return _chart(chunk, state, sickness, rng), _lab(chunk, state, sickness, rng)


def _round(values: np.ndarray, decimals: np.ndarray) -> np.ndarray:
    unit = 10.0**decimals
    return np.rint(values * unit) / unit


def _texts(values: np.ndarray, missing: np.ndarray, text: str) -> pa.Array:
    """valuenum as charted text: a word, or nothing, where there is no number."""
    numbers = pa.array(values).cast(pa.string())
    words = pa.array([None, text]).take(pa.array(np.arange(len(values)) % 2))
    return pc.if_else(pa.array(missing), words, numbers)


def _round_times(
    chunk: Chunk, sickness: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Times of rounds, seconds from intime, and whether they took place, each (N, 2 * ROUNDS): one about every full clock hour, at times a second."""
    n = len(chunk.intime)
    start = -(chunk.intime % HOUR)  # the full clock hour at or before admission
    on_the_hour = rng.random((n, ROUNDS)) < 0.7
    on_the_hour[chunk.intime % HOUR == 0] |= (np.arange(ROUNDS) == 0) | (
        np.arange(ROUNDS) == 48
    )  # rows exactly at both ends of the window
    minute = np.where(on_the_hour, 0, rng.integers(1, 60, (n, ROUNDS)))
    times = (
        start[:, None, None]
        + HOUR * np.arange(ROUNDS)[:, None]
        + 60 * np.stack([minute, rng.integers(1, 60, (n, ROUNDS))], axis=2)
    )
    chance = np.stack([np.full((n, ROUNDS), 0.95), 0.04 + 0.03 * sickness[:, -HOURS[0] :]], axis=2)
    held = rng.random((n, ROUNDS, 2)) < chance
    gap_start = rng.integers(3, ROUNDS, n)[:, None]  # away for a scan or an operation
    gap_end = gap_start + np.where(rng.random(n) < 0.4, rng.integers(2, 8, n), 0)[:, None]
    hour = np.arange(ROUNDS)
    held &= ~((hour >= gap_start) & (hour < gap_end))[:, :, None]
    held[:, 1, 0] = True  # every stay of two hours has a chart
    stay_length = (chunk.outtime - chunk.intime)[:, None, None]
    held &= (times >= -EARLY) & (times <= np.minimum(stay_length, LAST_HOUR * HOUR))
    return times.reshape(n, -1), held.reshape(n, -1)


def _chart(
    chunk: Chunk, state: np.ndarray, sickness: np.ndarray, rng: np.random.Generator
) -> dict[str, Any]:
    n, kinds = len(chunk.intime), len(CHART_ITEMS)
    times, held = _round_times(chunk, sickness, rng)
    habits = rng.random((n, len(HABIT_CHANCE))) < HABIT_CHANCE * (
        0.7 + 0.3 * sickness[:, -HOURS[0], None]
    )
    habits = np.column_stack([habits, np.zeros(n, bool)])  # habit -1
    chance = np.stack(
        [np.where(habits[:, item.habit], item.chance[1], item.chance[0]) for item in CHART_ITEMS],
        axis=1,
    )
    draw = rng.random((n, held.shape[1], kinds))
    draw[:, :, 2], draw[:, :, 4] = draw[:, :, 1], draw[:, :, 3]  # a pressure is charted as a pair
    stay, slot, kind = np.nonzero(held[:, :, None] & (draw < chance[:, None, :]))

    system = chunk.dbsource[stay]
    share = np.array([item.other_shares for item in CHART_ITEMS])
    share_draw = rng.random((n, kinds))
    share_draw[:, 2], share_draw[:, 4] = share_draw[:, 1], share_draw[:, 3]
    ids = np.array(
        [(item.ids, item.other_ids) for item in CHART_ITEMS]
    )  # kind, usual or other, system
    itemid = ids[kind, (share_draw[stay, kind] < share[kind, system]).astype(int), system]
    variable = np.array([COLUMN[item.variable] for item in CHART_ITEMS])[kind]
    seconds = times[stay, slot]
    value = readings(state, stay, seconds / HOUR, variable, rng)
    fahrenheit = np.isin(itemid, FAHRENHEIT)
    value = _round(np.where(fahrenheit, value * 1.8 + 32, value), DECIMALS[variable])

    size = len(value)
    fate = rng.random(size)
    marked = (fate < ERROR_SHARE) & (system == 1)
    value = np.where(marked, _round(value * rng.uniform(0.5, 1.6, size), DECIMALS[variable]), value)
    garbage = (fate >= ERROR_SHARE) & (fate < ERROR_SHARE + GARBAGE_SHARE)
    other_unit = _round(
        np.where(fahrenheit, (value - 32) / 1.8, value * 1.8 + 32), DECIMALS[variable]
    )
    wrong = np.where(
        (kind == TEMPERATURE) & (rng.random(size) < 0.6), other_unit, rng.choice(GARBAGE, size)
    )
    value = np.where(garbage, wrong, value)
    missing = fate > 1 - TEXT_SHARE
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
        "value": _texts(value, missing, "Unable to Assess"),
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


def _lab(
    chunk: Chunk, state: np.ndarray, sickness: np.ndarray, rng: np.random.Generator
) -> dict[str, Any]:
    n, hours, panels, kinds = len(chunk.intime), len(HOURS), len(PANEL_CHANCE), len(LAB_ITEMS)
    panel = np.array([item.panel for item in LAB_ITEMS])
    clock = (chunk.intime[:, None] // HOUR + HOURS) % 24
    chance = (
        PANEL_CHANCE * (0.75 + 0.25 * sickness[:, :, None])
        + MORNING_CHANCE * (clock == 4)[:, :, None]
    )
    seconds = (HOURS[None, :, None] * HOUR + 60 * rng.integers(0, 60, (n, hours, panels))) - (
        chunk.intime % 60
    )[:, None, None]
    absolute = chunk.intime[:, None, None] + seconds
    drawn = (
        (rng.random((n, hours, panels)) < chance)
        & (absolute > chunk.free[:, None, None])
        & (absolute <= chunk.outtime[:, None, None])
    )
    drawn &= (rng.random((n, panels)) < PANEL_HABIT * (0.8 + 0.2 * sickness[:, -HOURS[0], None]))[
        :, None, :
    ] | (PANEL_HABIT == 1)
    habit = rng.random((n, kinds)) < np.array([item.habit for item in LAB_ITEMS])
    taken = (
        drawn[:, :, panel]
        & habit[:, None, :]
        & (rng.random((n, hours, kinds)) < np.array([item.chance for item in LAB_ITEMS]))
    )
    named = rng.random((n, hours, panels)) >= NO_HADM_SHARE
    stay, hour, kind = np.nonzero(taken)

    variable = np.array([COLUMN[item.variable] for item in LAB_ITEMS])[kind]
    since = seconds[stay, hour, panel[kind]]
    value = _round(readings(state, stay, since / HOUR, variable, rng), DECIMALS[variable])
    size = len(value)
    fate = rng.random(size)
    wrong = np.where(
        UNBOUNDED[variable] | (rng.random(size) < 0.5), rng.choice(GARBAGE[:2], size), GARBAGE[2]
    )
    value = np.where(fate < LAB_FACTOR * GARBAGE_SHARE, wrong, value)
    missing = fate > 1 - LAB_FACTOR * TEXT_SHARE
    charttime = chunk.intime[stay] + since
    nameless = (charttime < chunk.admit[stay]) | ~named[stay, hour, panel[kind]]
    low, high = (
        np.array([getattr(item, end) for item in LAB_ITEMS])[kind] for end in ("low", "high")
    )
    abnormal = ((value < low) | (value > high)) & ~missing
    return {
        "subject_id": chunk.subject_id[stay],
        "hadm_id": pa.array(chunk.hadm_id[stay], mask=nameless),
        "itemid": np.array([item.itemid for item in LAB_ITEMS])[kind],
        "charttime": charttime,
        "value": _texts(value, missing, "HEMOLYZED"),
        "valuenum": pa.array(value, mask=missing),
        "valueuom": pa.array([item.unit for item in LAB_ITEMS]).take(pa.array(kind)),
        "flag": pa.array([None, "abnormal"]).take(pa.array(abnormal.astype(np.int8))),
    }
