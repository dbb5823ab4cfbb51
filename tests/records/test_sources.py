"""The stage extract, with each of the further sources."""

from pathlib import Path

import pytest
from golden import CODE_MAP, DATA, assert_golden, write_meds

from icu_adversarial import paths
from icu_adversarial.files import read_json
from icu_adversarial.params import Params
from icu_adversarial.stages import extract
from icu_adversarial.tables import EVENTS, STAYS, read_table


@pytest.mark.parametrize(
    ("source", "name", "label", "deaths"),
    [
        ("mimiciv", "mimic4", "MIMIC-IV", 1),
        ("eicu", "eicu", "eICU-CRD", 1),
        ("meds", "meds", "MEDS", 1),
    ],
)
def test_extract_writes_the_golden_tables(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    params: Params,
    source: str,
    name: str,
    label: str,
    deaths: int,
) -> None:
    raw = write_meds(tmp_path / "raw") if source == "meds" else DATA / name
    monkeypatch.chdir(tmp_path)
    chosen = params.extract.model_copy(update={"source": source, "raw": raw, "code_map": CODE_MAP})
    extract.run(params.model_copy(update={"extract": chosen}))
    found = read_table(paths.STAYS, STAYS), read_table(paths.EVENTS, EVENTS)
    assert_golden(name, found)
    metrics = read_json(paths.METRICS / "extract" / "metrics.json")
    assert metrics["source"] == label
    assert metrics["deaths"] == deaths
    assert metrics["icu_stays"] == len(found[0])
    assert metrics["events"] == len(found[1])
