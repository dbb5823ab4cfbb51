"""The laboratory of the synthetic hospital: when blood is drawn, and what is reported."""

from typing import Any

import numpy as np
import pyarrow as pa

from icu_adversarial.measurements import SETS
from icu_adversarial.synthetic.admitting import HOUR
from icu_adversarial.synthetic.charting import (
    DECIMALS,
    GARBAGE,
    GARBAGE_SHARE,
    TEXT_SHARE,
    Chunk,
    rounded,
    texts,
)
from icu_adversarial.synthetic.items import (
    LAB_ITEMS,
    MORNING_CHANCE,
    PANEL_CHANCE,
    PANEL_HABIT,
)
from icu_adversarial.synthetic.physiology import HOURS, readings
from icu_adversarial.synthetic.variables import COLUMN, VARIABLES

LAB_FACTOR = 0.2  # shares of the laboratory, relative to those of the charts
# Share of the draws after the hospital admission without a hadm_id. Earlier draws never have one.
NO_HADM_SHARE = 0.03
# Variables without plausible limits: those that are no measurement of the literature.
UNBOUNDED = np.array([variable.name not in SETS["literature"] for variable in VARIABLES])


def laboratory(
    chunk: Chunk, state: np.ndarray, sickness: np.ndarray, rng: np.random.Generator
) -> dict[str, Any]:
    """The columns of LABEVENTS, as `charting.chart` gives those of CHARTEVENTS."""
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
    value = rounded(readings(state, stay, since / HOUR, variable, rng), DECIMALS[variable])
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
        "value": texts(value, missing, "HEMOLYZED"),
        "valuenum": pa.array(value, mask=missing),
        "valueuom": pa.array([item.unit for item in LAB_ITEMS]).take(pa.array(kind)),
        "flag": pa.array([None, "abnormal"]).take(pa.array(abnormal.astype(np.int8))),
    }
