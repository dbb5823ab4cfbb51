"""`extract` of params.yaml."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from icu_adversarial.config.base import Block
from icu_adversarial.core.labels import LABELS
from icu_adversarial.core.paths import SYNTHETIC
from icu_adversarial.measurements import Limits

CODE_MAP = Path("code_maps/mimiciv_meds.csv")  # of extract.code_map, if nothing reads it
MIMIC = ("synthetic", "mimiciii", "mimiciv")
HAVE_STORED = ("mimiciv", "eicu")  # their laboratory results have two times


class Extract(Block):
    source: Literal["synthetic", "mimiciii", "mimiciv", "eicu", "challenge2012", "meds"]
    raw: Path
    potassium: Literal["both", "blood_gas"]
    lab_time: Literal["drawn", "stored"]
    code_map: Path
    limits: dict[str, Limits]

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        if (self.source == "synthetic") != (self.raw == SYNTHETIC):
            raise ValueError(
                f"source {self.source} does not fit raw {self.raw}: source synthetic and raw "
                f"{SYNTHETIC} go together: set both extract.source and extract.raw"
            )
        if self.potassium != "both" and self.source not in MIMIC:
            raise ValueError(
                f"potassium {self.potassium} has no effect with source {self.source}: only MIMIC "
                "tells which potassium is from blood gases: set it to both"
            )
        if self.lab_time != "drawn" and self.source not in HAVE_STORED:
            raise ValueError(
                f"lab_time {self.lab_time} has no effect with source {self.source}: its laboratory "
                "results have one time: set it to drawn"
            )
        if self.source != "meds" and self.code_map != CODE_MAP:
            raise ValueError(
                f"code_map {self.code_map} has no effect with source {self.source}: only meds reads"
                f" it: set it to {CODE_MAP}"
            )
        return self

    @property
    def label(self) -> str:
        """What the figures and tables of the stage extract call the data."""
        return LABELS[self.source]
