"""`preprocess` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from icu_adversarial.config.base import Block


class Preprocess(Block):
    stays: Literal["all", "first_of_admission", "first_of_subject"]
    min_age: Annotated[float, Field(ge=0, le=90)]
    min_hospital_hours: Annotated[float, Field(ge=0)]
    min_icu_hours: Annotated[float, Field(ge=0)]
    gap_hours: Annotated[float, Field(ge=0)]
    min_observed_cells: Annotated[int, Field(ge=0)]
