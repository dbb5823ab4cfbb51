"""What the synthetic hospital charts and what its laboratory reports, with MIMIC-III item ids."""

from typing import NamedTuple

import numpy as np


class ChartItem(NamedTuple):
    """A quantity that nurses chart on rounds. Pairs of ids and shares are (CareVue, MetaVision).

    variable: A name in physiology.VARIABLES.
    ids: The usual item ids.
    other_ids: Item ids that some stays use instead.
    other_shares: Shares of the stays that use them.
    habit: Index into HABIT_CHANCE, or -1 for none.
    chance: Probability of being charted on a round, without and with the habit.
    """

    variable: str
    ids: tuple[int, int]
    other_ids: tuple[int, int]
    other_shares: tuple[float, float]
    habit: int
    chance: tuple[float, float]


ARTERIAL_LINE, CORE_PROBE, VENTILATED = 0, 1, 2
HABIT_CHANCE = np.array([0.32, 0.15, 0.35])  # share of stays, at average illness
CHART_ITEMS = (
    ChartItem("heartrate", (211, 220045), (211, 220045), (0, 0), -1, (1.0, 1.0)),
    ChartItem("sysbp", (51, 220050), (6701, 220050), (0.04, 0), ARTERIAL_LINE, (0, 0.95)),
    ChartItem("diasbp", (8368, 220051), (8555, 220051), (0.04, 0), ARTERIAL_LINE, (0, 0.95)),
    ChartItem("sysbp", (455, 220179), (442, 220179), (0.03, 0), ARTERIAL_LINE, (0.94, 0.12)),
    ChartItem("diasbp", (8441, 220180), (8440, 220180), (0.03, 0), ARTERIAL_LINE, (0.94, 0.12)),
    ChartItem("tempc", (678, 223761), (676, 223762), (0.25, 0.08), CORE_PROBE, (0.25, 0.85)),
    ChartItem("resprate", (618, 220210), (618, 220210), (0, 0), -1, (0.97, 0.97)),
    ChartItem("resprate", (615, 224690), (615, 224690), (0, 0), VENTILATED, (0, 0.15)),
    ChartItem("spo2", (646, 220277), (646, 220277), (0, 0), -1, (0.97, 0.97)),
    # These items are not among those of the 19 measurements, so a reader must ignore them.
    ChartItem("glucose", (811, 225664), (807, 220621), (0.4, 0.4), -1, (0.12, 0.12)),
)
TEMPERATURE = 5  # place in CHART_ITEMS
FAHRENHEIT = (678, 223761)
# By item id: label, abbreviation, category, unit in D_ITEMS, unit in CHARTEVENTS.
ITEM_TEXTS: dict[int, tuple[str, str | None, str | None, str | None, str | None]] = {
    51: ("Arterial BP [Systolic]", None, None, None, "mmHg"),
    211: ("Heart Rate", None, None, None, "BPM"),
    442: ("Manual BP [Systolic]", None, None, None, "mmHg"),
    455: ("NBP [Systolic]", None, None, None, "mmHg"),
    615: ("Resp Rate (Total)", None, None, None, "BPM"),
    618: ("Respiratory Rate", None, None, None, "BPM"),
    646: ("SpO2", None, None, None, "%"),
    676: ("Temperature C", None, None, None, "Deg. C"),
    678: ("Temperature F", None, None, None, "Deg. F"),
    807: ("Fingerstick Glucose", None, "Chemistry", None, None),
    811: ("Glucose (70-105)", None, "Chemistry", None, None),
    6701: ("Arterial BP #2 [Systolic]", None, None, None, "mmHg"),
    8368: ("Arterial BP [Diastolic]", None, None, None, "mmHg"),
    8440: ("Manual BP [Diastolic]", None, None, None, "mmHg"),
    8441: ("NBP [Diastolic]", None, None, None, "mmHg"),
    8555: ("Arterial BP #2 [Diastolic]", None, None, None, "mmHg"),
    220045: ("Heart Rate", "HR", "Routine Vital Signs", "bpm", "bpm"),
    220050: ("Arterial Blood Pressure systolic", "ABPs", "Routine Vital Signs", "mmHg", "mmHg"),
    220051: ("Arterial Blood Pressure diastolic", "ABPd", "Routine Vital Signs", "mmHg", "mmHg"),
    220179: ("Non Invasive Blood Pressure systolic", "NBPs", "Routine Vital Signs", "mmHg", "mmHg"),
    220180: (
        "Non Invasive Blood Pressure diastolic",
        "NBPd",
        "Routine Vital Signs",
        "mmHg",
        "mmHg",
    ),
    220210: ("Respiratory Rate", "RR", "Respiratory", "insp/min", "insp/min"),
    220277: ("O2 saturation pulseoxymetry", "SpO2", "Respiratory", "%", "%"),
    220621: ("Glucose (serum)", "Glucose (serum)", "Labs", None, None),
    223761: ("Temperature Fahrenheit", "Temperature F", "Routine Vital Signs", "?F", "?F"),
    223762: ("Temperature Celsius", "Temperature C", "Routine Vital Signs", "?C", "?C"),
    224690: (
        "Respiratory Rate (Total)",
        "Respiratory Rate (Total)",
        "Respiratory",
        "insp/min",
        "insp/min",
    ),
    225664: ("Glucose finger stick", "Glucose FS", "Labs", None, None),
}


class LabItem(NamedTuple):
    """A value that the laboratory reports.

    variable: A name in physiology.VARIABLES.
    panel: CHEMISTRY, BLOOD_GAS or BLOOD_COUNT.
    habit: Share of the stays in which the panel includes the value at all.
    chance: Probability that one draw of the panel includes it, in these stays.
    low, high: Reference range.
    label, category, loinc, unit: As in D_LABITEMS and LABEVENTS.
    """

    itemid: int
    variable: str
    panel: int
    habit: float
    chance: float
    low: float
    high: float
    label: str
    category: str
    loinc: str
    unit: str


CHEMISTRY, BLOOD_GAS, BLOOD_COUNT = 0, 1, 2
PANEL_HABIT = np.array([1.0, 0.6, 0.97])  # share of stays with the panel
PANEL_CHANCE = np.array([0.055, 0.085, 0.04])  # per hour, at average illness
MORNING_CHANCE = np.array([0.6, 0.15, 0.6])  # added in the hour from 4:00
LAB_ITEMS = (
    LabItem(
        50971,
        "potassium",
        CHEMISTRY,
        1.0,
        0.98,
        3.3,
        5.1,
        "Potassium",
        "Chemistry",
        "2823-3",
        "mEq/L",
    ),
    LabItem(
        51006, "bun", CHEMISTRY, 1.0, 0.97, 6, 20, "Urea Nitrogen", "Chemistry", "3094-0", "mg/dL"
    ),
    LabItem(
        50912,
        "creatinine",
        CHEMISTRY,
        1.0,
        0.97,
        0.4,
        1.2,
        "Creatinine",
        "Chemistry",
        "2160-0",
        "mg/dL",
    ),
    LabItem(
        50983, "sodium", CHEMISTRY, 1.0, 0.97, 133, 145, "Sodium", "Chemistry", "2951-2", "mEq/L"
    ),
    LabItem(
        50882,
        "bicarbonate",
        CHEMISTRY,
        1.0,
        0.96,
        22,
        32,
        "Bicarbonate",
        "Chemistry",
        "1963-8",
        "mEq/L",
    ),
    LabItem(
        50931, "glucose", CHEMISTRY, 1.0, 0.96, 70, 105, "Glucose", "Chemistry", "2345-7", "mg/dL"
    ),
    LabItem(
        50960,
        "magnesium",
        CHEMISTRY,
        0.96,
        0.9,
        1.6,
        2.6,
        "Magnesium",
        "Chemistry",
        "2601-3",
        "mg/dL",
    ),
    LabItem(
        50862, "albumin", CHEMISTRY, 0.45, 0.3, 3.5, 5.2, "Albumin", "Chemistry", "1751-7", "g/dL"
    ),
    LabItem(50820, "ph", BLOOD_GAS, 1.0, 1.0, 7.35, 7.45, "pH", "Blood Gas", "11558-4", "units"),
    LabItem(50818, "pco2", BLOOD_GAS, 1.0, 1.0, 35, 45, "pCO2", "Blood Gas", "11557-6", "mm Hg"),
    LabItem(
        50813, "lactate", BLOOD_GAS, 0.8, 0.6, 0.5, 2.0, "Lactate", "Blood Gas", "32693-4", "mmol/L"
    ),
    LabItem(
        50808,
        "calcium",
        BLOOD_GAS,
        0.75,
        0.6,
        1.12,
        1.32,
        "Free Calcium",
        "Blood Gas",
        "1994-3",
        "mmol/L",
    ),
    LabItem(
        50822,
        "potassium",
        BLOOD_GAS,
        0.6,
        0.5,
        3.3,
        5.1,
        "Potassium, Whole Blood",
        "Blood Gas",
        "6298-4",
        "mEq/L",
    ),
    LabItem(
        50809, "glucose", BLOOD_GAS, 0.6, 0.5, 70, 105, "Glucose", "Blood Gas", "2339-0", "mg/dL"
    ),  # ignored as well
    LabItem(
        51265,
        "platelet",
        BLOOD_COUNT,
        1.0,
        0.98,
        150,
        440,
        "Platelet Count",
        "Hematology",
        "777-3",
        "K/uL",
    ),
    LabItem(
        51221,
        "hematocrit",
        BLOOD_COUNT,
        1.0,
        0.98,
        36,
        52,
        "Hematocrit",
        "Hematology",
        "4544-3",
        "%",
    ),  # ignored as well
)
