"""docs/outputs.md: every file that the pipeline writes, with its columns.

dvc.yaml gives the files, core/schemas.py the types, and outputs.yaml the descriptions.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
from ruamel.yaml import YAML

from docs.generate.markdown import note, table
from icu_adversarial.core import schemas

ROOT = Path(__file__).parents[2]
HEAD = f"""{note("dvc.yaml, src/icu_adversarial/core/schemas.py and docs/generate/outputs.yaml")}
# Outputs

Every file that the pipeline and the [studies](experiments.md#studies) write, stage by stage.
OBJECTIVE is a name in `objectives` of `params.yaml`, for example `robust_l1`. ROW is a name in
`literature.rows`, for example `sun`. Everything below `data/` stays out of Git, because it is
made of patient records. DVC keeps it in its cache. Hours count from ICU admission. Model input
units are explained in the [glossary](glossary.md).

**Where to look first**

- `python src/run.py summary` prints the summary of the last run.
- `metrics/report.html` is the report. Open it in a browser.
- `data/report/explorer.html` shows the records of single patients, before and after the change.
- `metrics/analyze/OBJECTIVE/report.md` is a text about one attack.
- `metrics/evaluate/metrics.json` holds the scores of the network and of the baselines.
- `python src/run.py figures FOLDER` draws every figure as PNG.
- `logs/STAGE.log` holds the progress of a stage, also while it runs. Git ignores it.
"""


def descriptions() -> dict[str, Any]:
    """The content of outputs.yaml."""
    content: dict[str, Any] = YAML(typ="safe").load(Path(__file__).with_suffix(".yaml"))
    return content


def stages(file: Path = ROOT / "dvc.yaml") -> dict[str, dict[str, Any]]:
    """The stages of a dvc.yaml, in its order."""
    content: dict[str, dict[str, Any]] = YAML(typ="safe").load(file)["stages"]
    return content


def studies() -> dict[str, dict[str, Any]]:
    """The stages of all studies."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((ROOT / "studies").glob("*/dvc.yaml")):
        found |= stages(file)
    return found


def files(stage: dict[str, Any]) -> list[str]:
    """The outputs of a stage, with OBJECTIVE and ROW as placeholders."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    names = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    filled = [name.replace("${item.objective}", "OBJECTIVE") for name in names]
    return [name.replace("${item.row}", "ROW") for name in filled]


def known_columns(file: str) -> dict[str, str]:
    """The descriptions of the columns that a file may have, by name."""
    said = descriptions()
    about = said["files"][file]
    own = said["tables"][about["schema"]] if "schema" in about else about.get("columns", {})
    return {**said["common"], **own}


def schema_rows(file: str, name: str) -> list[list[str]]:
    """Name, type and meaning of each column of a table of core/schemas.py."""
    known, schema = known_columns(file), getattr(schemas, name)
    return [[f"`{f.name}`", type_of(f), known[f.name]] for f in schema]


def type_of(field: pa.Field) -> str:
    """The type of a column, and whether it may be empty."""
    kind = "text" if pa.types.is_string(field.type) else str(field.type)
    kind = "name" if pa.types.is_dictionary(field.type) else kind
    return f"{kind}, may be empty" if field.nullable else kind


def section(stage: str, content: dict[str, Any]) -> list[str]:
    """The heading, the files and the columns of one stage."""
    said = descriptions()["files"]
    parts = [f"## {stage}\n\n{content['desc']}.\n"]
    for file in files(content):
        if file not in said:
            raise KeyError(f"docs/generate/outputs.yaml does not describe {file}")
        about = said[file]
        parts.append(f"**`{file}`**: {about['about']}\n")
        if "schema" in about:
            rows = schema_rows(file, about["schema"])
            parts.append(table(["column", "type", "meaning"], rows) + "\n")
        elif about.get("columns"):
            own = [[f"`{name}`", text] for name, text in about["columns"].items()]
            parts.append(table(["column", "meaning"], own) + "\n")
    return parts


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for stage, content in (stages() | studies()).items():
        parts += section(stage, content)
    shared = [[f"`{name}`", text] for name, text in descriptions()["common"].items()]
    parts.append("## Columns that mean the same in every table\n")
    parts.append(table(["column", "meaning"], shared))
    return "\n".join(parts) + "\n"
