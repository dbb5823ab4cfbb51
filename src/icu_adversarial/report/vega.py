"""Vega for a page without a network, and the figures of `dvc plots` filled with rows.

The report, its explorer and the page of `dvc plots` use it.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_json

VEGA_LITE = "6.4"  # version for pages and PNGs
EXPORTS = "Object.assign(window, {vega, vegaLite, vegaEmbed});"  # the scripts of a page call these
TEMPLATES = Path(".dvc/plots")  # written by `make plots` from the code in plots/
LABEL_LIMIT = 330  # pixels of a label of an axis


@cache
def scripts() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, which needs no network."""
    return str(vl_convert.javascript_bundle(EXPORTS, VEGA_LITE))


def template(name: str) -> dict[str, Any]:
    """The specification of a figure of plots/, with the anchors of DVC in place of the data.

    Raises:
        InputError: There is no such figure.
    """
    found: dict[str, Any] = read_json(TEMPLATES / f"{name}.json")
    return found


def filled(name: str, rows: pd.DataFrame, **choices: str) -> dict[str, Any]:
    """A figure of plots/ with rows, as `dvc plots` fills it.

    Args:
        name: The name of the figure.
        rows: The table of the figure as texts (`dtype=str`). It may have no row.
        choices: Values of switches, by their name. Such a switch is not shown to the reader.

    Raises:
        InputError: The figure has an anchor that only DVC can fill.
    """
    spec = template(name)
    spec["data"]["values"] = rows.assign(rev="").to_dict("records")
    spec["config"]["axis"]["labelLimit"] = LABEL_LIMIT
    for parameter in spec["params"]:
        if parameter["name"] in choices:
            parameter["value"] = choices[parameter["name"]]
            del parameter["bind"]
    if "<DVC_METRIC" in json.dumps({**spec, "data": {}}):
        raise InputError(f"{TEMPLATES / name}.json: its anchors need dvc.yaml")
    return spec
