"""Show `dvc plots` without internet: a page that contains Vega, and every figure as PNG."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import vl_convert

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import atomic
from icu_adversarial.report.vega import VEGA_LITE, scripts

OFFLINE_PAGE = Path(".dvc/offline.html")  # plots.html_template in .dvc/config
PIXELS = 2.0  # of a PNG per CSS pixel
# DVC fills {refresh_tag} and {plot_divs}. {scripts} is left out, because it links to a CDN.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh_tag}
<title>icu-adversarial: figures</title>
<script>%s</script>
<style>
body { font-family: "Liberation Sans", Arial, Helvetica, sans-serif; margin: 24px; }
.vega-embed { display: block; margin-bottom: 48px; }
.vega-bindings { margin-top: 6px; font-size: 13px; }
</style>
</head>
<body>
<p>A figure whose table is missing is left out. <code>python src/run.py figures FOLDER</code> names
the missing tables.</p>
{plot_divs}
</body>
</html>
"""


def offline_page(path: Path = OFFLINE_PAGE) -> None:
    """Write the HTML template of `dvc plots`. It contains Vega, Vega-Lite and Vega-Embed."""
    with atomic(path) as temporary:
        temporary.write_text(PAGE % scripts(), encoding="utf-8")


def specifications(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The Vega-Lite specifications of the PNGs.

    Args:
        content: The output of `dvc plots show --json`.

    Returns:
        The specifications by file name without suffix. A figure with switches (parameters bound to
        options) has one more specification, with a suffix, for each further option of each switch.
        The name of the revision is left out, because only `dvc plots diff` needs it.
    """
    found = {}
    for plot, renderings in content.get("data", {}).items():
        name = "_".join(
            part
            for part in Path(plot).with_suffix("").parts
            if part not in {"metrics", "data", "plots"}
        )
        for rendering in renderings:
            spec = rendering["content"]
            for row in spec["data"]["values"]:
                row["rev"] = ""
            found[name] = spec
            for switch in (p for p in spec.get("params", []) if "bind" in p):
                for option in switch["bind"]["options"][1:]:
                    turned = [{**p, "value": option} if p is switch else p for p in spec["params"]]
                    found[f"{name}_{option.replace(' ', '_')}"] = spec | {"params": turned}
    return found


def png(spec: dict[str, Any], scale: float = PIXELS) -> bytes:
    """Render a Vega-Lite specification. scale: PNG pixels per CSS pixel."""
    return vl_convert.vegalite_to_png(json.dumps(spec), vl_version=VEGA_LITE, scale=scale)


def figures(folder: Path) -> list[str]:
    """Render every DVC plot of the workspace.

    Args:
        folder: The PNGs are written here.

    Returns:
        Lines that say how many there are, and which tables are missing.

    Raises:
        InputError: DVC fails, or there is no plot.
    """
    shown = subprocess.run(
        [sys.executable, "-m", "dvc", "plots", "show", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode:
        lines = shown.stderr.strip().splitlines() or [f"exit code {shown.returncode}"]
        raise InputError(f"`dvc plots show` failed: {lines[-1]}")
    content = json.loads(shown.stdout)
    specs = specifications(content)
    if not specs:
        raise InputError("`dvc plots show` found no plot: run `dvc repro`")
    for name, spec in specs.items():
        with atomic(folder / f"{name}.png") as temporary:
            temporary.write_bytes(png(spec))
    lines = [f"{len(specs)} figures are in {folder}."]
    if missing := sorted(error["name"] for error in content.get("errors", [])):
        lines.append(f"Not drawn, because the table is missing or damaged: {', '.join(missing)}")
    return lines
