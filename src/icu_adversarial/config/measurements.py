"""`measurements` of params.yaml: the name of a set, or a list of names."""

from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator

from icu_adversarial.config.base import NotEmpty
from icu_adversarial.config.extract import MIMIC, Extract
from icu_adversarial.measurements import DICTIONARY, SETS, columns_of, names_of

OF_SYNTHETIC = "literature"  # the set that the synthetic hospital charts


def _known(found: str | tuple[str, ...]) -> str | tuple[str, ...]:
    names_of(found)
    return found


Measurements = Annotated[str | Annotated[tuple[str, ...], NotEmpty], AfterValidator(_known)]


def check_use(names: tuple[str, ...], extract: Extract, static_inputs: Collection[str]) -> None:
    """Check that the source has the measurements, and that every setting about them has an effect.

    Args:
        names: The chosen measurements.
        extract: The block of params.yaml.
        static_inputs: model.static_inputs.

    Raises:
        ValueError: One of them does not fit. The message says what to do.
    """
    if not columns_of(names):
        raise ValueError("measurements: only static ones are named: the grid would be empty")
    absent = [name for name in names if name not in SETS[OF_SYNTHETIC]]
    if extract.source == "synthetic" and absent:
        raise ValueError(
            f"measurements: the synthetic hospital has no {', '.join(absent)}: set measurements to "
            f"{OF_SYNTHETIC} or some of its names, or set extract.source and extract.raw to other "
            "data"
        )
    if extract.potassium != "both" and "potassium" not in names:
        raise ValueError(
            f"extract.potassium {extract.potassium} has no effect without potassium among "
            "measurements: set it to both"
        )
    if unused := [name for name in extract.limits if name not in names]:
        raise ValueError(
            f"extract.limits: {', '.join(unused)}: not among measurements, so the limits have "
            "no effect: remove them"
        )
    if extract.source in MIMIC:
        for name in names:
            if missing := [part for part in DICTIONARY[name].sum_of if part not in names]:
                raise ValueError(
                    f"measurements: {name} is the sum of others in MIMIC: name "
                    f"{', '.join(missing)} too"
                )
    for name in ("weight", "height"):
        if name in static_inputs and name not in names:
            raise ValueError(
                f"model.static_inputs: {name} is not among measurements: use a set or list that"
                " has it, such as extended"
            )
