"""The measurements of the set literature, which most tests use."""

from icu_adversarial.measurements import SETS, choose

NAMES = SETS["literature"]
MEASUREMENTS = choose(NAMES)
M = len(NAMES)
# Item id of MIMIC → its measurement, and its rows in the dictionary.
ITEMS = {int(code): (m.name, rows) for m in MEASUREMENTS for rows in m.mimic for code in rows.codes}
