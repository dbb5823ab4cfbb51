"""The measurements of the set literature, which most tests use."""

from icu_adversarial.measurements import SETS, choose

NAMES = SETS["literature"]
MEASUREMENTS = choose(NAMES)
M = len(NAMES)
