"""The stage extract, with each of the further sources."""

from pathlib import Path

import pandas as pd
import pytest
from golden import CODE_MAP, DATA, assert_golden, write_meds
from raw_tables import GOLDEN, write_challenge, write_golden

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_json
from icu_adversarial.core.schemas import EVENTS, STAYS, read_table
from icu_adversarial.measurements import ABSENT, note
from icu_adversarial.stages import extract


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
    capsys: pytest.CaptureFixture[str],
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
    assert metrics["excluded"] == read_json(paths.EXCLUDED)
    stays = metrics["rows"]["icu stays"]["(stays)"]
    assert (
        stays.pop("read")
        == sum(stays.values())
        == len(found[0]) + sum(metrics["excluded"].values())
    )
    for groups in metrics["rows"].values():
        for reasons in groups.values():
            assert reasons.pop("read", sum(reasons.values())) == sum(reasons.values())
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warned) == len(metrics["large_shares_left_out"]) > 0  # of these few rows
    coverage = pd.read_csv(paths.METRICS / "extract" / "plots" / "coverage.csv")
    assert coverage["remark"].eq(ABSENT).eq(coverage["events"].eq(0)).all()


def test_coverage_says_what_differs_and_what_is_left_out_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params
) -> None:
    raw = write_challenge(tmp_path / "raw")
    monkeypatch.chdir(tmp_path)
    chosen = params.extract.model_copy(update={"source": "challenge2012", "raw": raw})
    extract.run(params.model_copy(update={"extract": chosen}))
    notes = pd.read_csv("metrics/extract/plots/coverage.csv").set_index("measurement")["remark"]
    assert (
        notes["spo2"]
        == note("challenge2012", "spo2")
        == ("arterial SaO2 of blood gases, not pulse oximetry")
    )
    assert notes["calcium"] == note("challenge2012", "calcium") == ABSENT
    assert pd.isna(notes["heartrate"])
    assert note("mimiciii", "spo2") == ""

    raw = write_golden(tmp_path / "mimic", changes={"ADMISSIONS": half_of_the_admissions()})
    chosen = params.extract.model_copy(update={"source": "mimiciii", "raw": raw})
    extract.run(params.model_copy(update={"extract": chosen}))
    excluded = {"admission and patient known": 2}
    assert read_json(paths.EXCLUDED) == excluded
    assert read_json(paths.METRICS / "extract" / "metrics.json")["excluded"] == excluded


def half_of_the_admissions() -> str:
    return "".join(GOLDEN["ADMISSIONS"].splitlines(keepends=True)[:2])
