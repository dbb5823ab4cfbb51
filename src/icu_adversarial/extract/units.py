"""Units as raw records write them."""

from itertools import product

from icu_adversarial.extract.storage.views import literal

# A unit → how records write it, in small letters without blanks. µ is also written u or mc.
_THOUSAND = (
    *("k", "th", "thou", "thous", "thousand", "thousands", "1000", "x1000", "k/"),
    *(f"{x}10{power}" for x in ("", "x") for power in ("3", "^3", "*3", "**3", "e3", "(3)", "x3")),
)
_PER_UL = ("/ul", "/mcl", "/mm3", "/mm^3", "/mm(3)", "/cmm", "/cumm", "/microl")
_BILLION = tuple(
    f"{x}10{power}" for x in ("", "x") for power in ("9", "^9", "*9", "**9", "e9", "(9)")
)
SPELLINGS = {
    "mmol/L": ("mmol/l", "mmols/l", "mmoles/l", "mmol/lt", "mmol/liter", "mmoles/liter", "mm/l"),
    "mEq/L": ("meq/l", "meq/liter"),
    "umol/L": (
        *("umol/l", "umoles/l", "umol/liter", "uumol/l", "mcmol/l"),
        *("micromol/l", "micromoles/l", "micromol/liter"),
    ),
    "nmol/L": ("nmol/l",),
    "mg/dL": ("mg/dl", "mgs/dl", "mg%", "mg/100ml"),
    "g/dL": ("g/dl", "gm/dl", "gms/dl", "g%", "gm%"),
    "ug/dL": ("ug/dl", "mcg/dl"),
    "mg/L": ("mg/l",),
    "g/L": ("g/l", "gm/l", "g/liter", "g/litre"),
    "mmHg": ("mmhg", "mm(hg)", "torr"),
    "kPa": ("kpa",),
    "K/uL": (
        *(many + per for many, per in product(_THOUSAND, _PER_UL)),
        *(many + "/l" for many in (*_BILLION, "giga", "bil")),
        *(many for many in _THOUSAND if many not in ("th", "k/")),
    ),
    "pH": ("ph", "unit", "units", "phunit", "phunits", "ph_units", "phu"),
    "/min": ("/min", "bpm", "insp/min", "breaths/min", "beats/min", "resp/min"),
    "°C": ("°c", "?c", "degc", "deg.c", "celsius", "c"),
    "°F": ("°f", "?f", "degf", "deg.f", "fahrenheit", "f"),
    "%": ("%",),
    "IU/L": ("iu/l", "u/l", "units/l"),
    "ng/mL": ("ng/ml",),
    "ug/L": ("ug/l", "mcg/l"),
    "mL": ("ml", "cc"),
    "kg": ("kg", "kgs"),
    "lb": ("lb", "lbs", "lbs."),
    "cm": ("cm",),
    "inch": ("inch", "inches", "in"),
    "points": ("points", "point"),
}


def spelling_rows() -> str:
    """SPELLINGS as rows (spelling, unit) of an SQL VALUES."""
    return ", ".join(
        f"({literal(spelling)}, {literal(unit)})"
        for unit, all_of in SPELLINGS.items()
        for spelling in all_of
    )
