"""The type checker of the tests. conftest.py applies it to the package as it is imported."""

from beartype import BeartypeConf, beartype

# Where the checks make DuckDB report leaks at exit.
UNCHECKED = (
    "icu_adversarial.extract.storage.duck",
    "icu_adversarial.extract.sources.meds",
    "icu_adversarial.extract.sources.meds_files",
)
CONF = BeartypeConf(is_pep484_tower=True, claw_skip_package_names=UNCHECKED)
# The rooms whose arrays have shapes. Names such as N must have one size in all arguments and the
# result of a call.
SHAPED = tuple(f"icu_adversarial.{room}" for room in ("evaluate", "features", "model", "probe"))

check = beartype(conf=CONF)
