"""docs/measurements.md: sets, units, limits and codes, from the dictionary of the package."""

from docs.generate.markdown import note, table
from icu_adversarial.measurements import DICTIONARY, SETS, SOURCES, Measurement, Rows

HEAD = f"""{note("src/icu_adversarial/measurements/dictionary.yaml")}
# Measurements

`measurements` in params.yaml says what is measured. It is the name of a set, or a list of names
from this page. The grid has one column for each measurement, in the order of the set or list.
A static measurement has one value per stay. It is no column of the grid.

A raw value outside its limits does not count. `extract.limits` in params.yaml replaces the limits
of a measurement. Of the values that count in a bin of hours, the summary makes one: the mean, the
sum, the last one, or "any", which is 1 if a value is above 0.

## Sets
"""
VALUES = """
## Units and limits
"""
SECTIONS = {
    "mimic": """
## MIMIC-III and MIMIC-IV

An item id has the same meaning in both. A row that states another unit does not count. Where an
item has two rows in this table, the size of a value shows its unit. A MEDS data set has codes of
its own: a code map such as `code_maps/mimiciv_meds.csv` says what they mean.
""",
    "eicu": """
## eICU

Only results of the laboratory state their unit. One without a unit is in the usual one.
Where a name has two rows in this table without a unit, the size of a value shows its unit.
In nursecharting, a name with | is a label and its name. In intakeoutput, a name is the end of the
cell path below Output (ml), and % stands for any text.
""",
    "challenge2012": """
## PhysioNet Challenge 2012
""",
}
ONLY = {"both": "only if `extract.potassium` is both", "mimiciv": "MIMIC-IV alone", None: ""}


def stored(rows: Rows) -> str:
    """How the charted value becomes the stored one, as text."""
    if rows.means_one:
        return "1"
    if rows.fahrenheit:
        return "(v − 32) / 1.8"
    return "v" if rows.factor == 1 else f"v × {rows.factor:.5g}"


def codes(rows: Rows) -> str:
    """The codes, each with its label if that says more."""
    return ", ".join(
        code if code == label else f"{code} ({label})" for code, label in rows.codes.items()
    )


def read_when(rows: Rows) -> str:
    """When the rows are read, as text."""
    other = "if no other chosen measurement reads it" if rows.stand_in else ""
    return ONLY[rows.only] or other


def rows_of(m: Measurement, source: str) -> list[list[str]]:
    """The rows of a measurement in the table of a source."""
    found: list[list[str]] = []
    for rows in getattr(m, source):
        place = [rows.table] if rows.table else []
        unit = rows.unit or ", ".join(rows.read_as) or "any"
        cells = [codes(rows), unit, str(rows.limits), stored(rows), read_when(rows)]
        found.append([m.name, *place, *cells])
    return found


def allowable(m: Measurement) -> str:
    """The allowable error of a measurement, as text."""
    if m.allowable is None:
        return "none"
    absolute, percent = m.allowable.absolute, m.allowable.percent
    parts = [f"{absolute:g} {m.unit}".strip()] if absolute else []
    return " or ".join(parts + ([f"{percent:g} %"] if percent else []))


def page() -> str:
    """The whole page."""
    values = [
        [
            m.name,
            m.label,
            m.unit or "none",
            m.kind,
            "static" if m.static else m.hour,
            str(m.limits),
            m.limits_source,
            allowable(m),
            m.allowable.source if m.allowable else "none found: no edit within it",
        ]
        for m in DICTIONARY.values()
    ]
    head = ["name", "in the report", "unit", "kind", "summary", "values that count"]
    head += ["source of the limits", "allowable error", "source of the error"]
    parts = [
        HEAD,
        *(f"- `{name}` ({len(names)}): {', '.join(names)}." for name, names in SETS.items()),
        VALUES,
        table(head, values),
    ]
    for source in SOURCES:
        rows = [row for m in DICTIONARY.values() for row in rows_of(m, source)]
        place = [] if source == "challenge2012" else ["table"]
        code = "item ids" if source == "mimic" else "names"
        head = ["measurement", *place, code, "unit", "charted values that count", "stored as"]
        parts += [SECTIONS[source], table([*head, "read"], rows)]
        if source == "mimic":
            parts += [
                f"\n`{m.name}` is the sum of {', '.join(m.sum_of)} at a time at which each of them has"
                f" one value, and {m.name} itself has none. They must be chosen too."
                for m in DICTIONARY.values()
                if m.sum_of
            ]
        if absent := [m.name for m in DICTIONARY.values() if not getattr(m, source)]:
            parts.append(f"\nNot in these data: {', '.join(absent)}.")
    notes = [
        f"- {source}, {m.name}: {text}."
        for m in DICTIONARY.values()
        for source, text in m.notes.items()
    ]
    return "\n".join([*parts, "\n## What differs in a source\n", *notes]) + "\n"
