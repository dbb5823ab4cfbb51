"""`measurements` of params.yaml: the name of a set, or a list of names."""

from typing import Annotated

from pydantic import AfterValidator

from icu_adversarial.config.base import NotEmpty
from icu_adversarial.measurements import names_of


def _known(found: str | tuple[str, ...]) -> str | tuple[str, ...]:
    names_of(found)
    return found


Measurements = Annotated[str | Annotated[tuple[str, ...], NotEmpty], AfterValidator(_known)]
