"""`gate` of params.yaml."""

from typing import Annotated

from pydantic import Field

from icu_adversarial.config.base import Block

Margin = Annotated[float, Field(ge=0, lt=1)]


class Gate(Block):
    auroc: Margin
    brier: Margin
    flipped: Margin
    changed_cells: Margin
    l1: Margin
