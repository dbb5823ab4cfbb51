"""docs/measurements.md: the 19 measurements, from the dictionary of the package."""

from docs.generate.markdown import note, table
from icu_adversarial.measurements import LARGEST_FLOAT32, MEASUREMENTS, NOTES, Items

HEAD = f"""{note("src/icu_adversarial/measurements")}
# The 19 measurements

The grid has one column for each measurement, in the order of this page. The set is the one of
Sun et al. 2018: 13 laboratory values and 6 vital signs. A value outside its limits is left out
before the hourly mean is taken. Limits apply to the value as charted, before any conversion.

## Names and units
"""
LIMITS = """
## Sources and limits

One row for each group of raw rows with the same limits. MIMIC-III and MIMIC-IV have item ids.
eICU has names. A MEDS data set has codes of its own: a code map such as
`code_maps/mimiciv_meds.csv` says what they mean.
"""


def limits(items: Items) -> str:
    """The values that count, as text: for example `0 < v ≤ 30`."""
    if items.below == LARGEST_FLOAT32:
        return f"v > {items.above:g}"
    return f"{items.above:g} < v {'≤' if items.below_counts else '<'} {items.below:g}"


def conversion(items: Items) -> str:
    """How the charted value becomes the stored one, as text."""
    if items.fahrenheit:
        return "(v − 32) / 1.8"
    return "" if items.factor == 1 else f"v × {items.factor:.4g}"


def page() -> str:
    """The whole page."""
    names = [
        [str(column), m.name, m.unit or "none", ", ".join(m.challenge) or "absent"]
        for column, m in enumerate(MEASUREMENTS)
    ]
    rows = []
    for m in MEASUREMENTS:
        for source, groups in (("MIMIC", m.items), ("eICU", m.eicu)):
            for items in groups:
                keys = ", ".join(map(str, items.itemids)) or ", ".join(items.names)
                rows.append([m.name, source, items.table, keys, limits(items), conversion(items)])
    notes = [f"- {source}, {name}: {text}." for (source, name), text in NOTES.items()]
    parts = [
        HEAD,
        table(["column", "name", "unit", "name in PhysioNet Challenge 2012"], names),
        LIMITS,
        table(["name", "source", "table", "item ids or names", "kept when", "stored as"], rows),
        "\n## What differs in a source\n",
        *notes,
    ]
    return "\n".join(parts) + "\n"
