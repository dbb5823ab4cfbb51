"""The dictionary is right and complete. A choice that cannot be is refused in one line."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dvc.utils.hydra import apply_overrides

from icu_adversarial.config.params import load_params
from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.units import SPELLINGS
from icu_adversarial.measurements import (
    DICTIONARY,
    SETS,
    SOURCES,
    Limits,
    Measurement,
    Rows,
    choose,
    names_of,
    note,
)

ROOT = Path(__file__).parents[2]
ALL = list(DICTIONARY.values())
ROWS = [(m, source, rows) for m in ALL for source in SOURCES for rows in getattr(m, source)]


@pytest.fixture(scope="module")
def labels(mimic_demo: Path) -> pd.Series:
    """The label of every item of the MIMIC-III demo."""
    items = [pd.read_csv(mimic_demo / f"{name}.csv.gz") for name in ("D_ITEMS", "D_LABITEMS")]
    return pd.concat(items).set_index("itemid")["label"]


@pytest.fixture(scope="module")
def tables(mimic_demo: Path) -> pd.Series:
    """The table of every item of the MIMIC-III demo that is not of the laboratory."""
    return pd.read_csv(mimic_demo / "D_ITEMS.csv.gz").set_index("itemid")["linksto"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """params.yaml, to be changed."""
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    return path


def test_item_ids_have_the_labels_and_tables_of_mimic(labels: pd.Series, tables: pd.Series) -> None:
    checked = 0
    for m in ALL:
        for rows in m.mimic:
            for code, label in rows.codes.items():
                checked += 1
                assert labels[int(code)] == label, (m.name, code)
                assert tables.get(int(code), "labevents") == rows.table, (m.name, code)
    assert checked > 120


def test_the_set_literature_has_the_19_measurements_in_their_fixed_order() -> None:
    assert ",".join(SETS["literature"]) == (
        "potassium,calcium,ph,pco2,lactate,albumin,bun,creatinine,sodium,bicarbonate,platelet,"
        "glucose,magnesium,heartrate,sysbp,diasbp,tempc,resprate,spo2"
    )
    assert SETS["extended"][:19] == SETS["literature"]
    assert set(SETS["extended"]) <= set(DICTIONARY)
    assert len(set(SETS["extended"])) == len(SETS["extended"])


@pytest.mark.parametrize("m", ALL, ids=lambda m: m.name)
def test_a_measurement_is_described_and_its_units_are_known(m: Measurement) -> None:
    assert m.limits_source
    assert m.unit or m.name in ("ph", "mechvent")
    assert not m.unit or m.unit in m.read_as
    assert set(m.read_as) <= set(SPELLINGS)
    assert any(getattr(m, source) for source in SOURCES)
    assert set(m.sum_of) <= set(DICTIONARY)


@pytest.mark.parametrize(
    ("m", "source", "rows"),
    ROWS,
    ids=[f"{m.name}-{source}-{next(iter(rows.codes))}" for m, source, rows in ROWS],
)
def test_the_limits_of_rows_fit_those_of_the_stored_value(
    m: Measurement, source: str, rows: Rows
) -> None:
    low, high = (
        (v - 32) / 1.8 if rows.fahrenheit else v * rows.factor
        for v in (rows.limits.above, rows.limits.highest)
    )
    converted = rows.fahrenheit or rows.factor != 1
    assert converted == (rows.limits != m.limits), "limits of their own are those of another unit"
    assert rows.unit not in rows.read_as
    assert not rows.unit or (rows.unit in SPELLINGS and converted)
    assert m.limits.above <= low + 1e-9
    assert low < high <= m.limits.highest + 1e-9


def test_no_code_of_a_source_belongs_to_two_measurements() -> None:
    """Except for a code that replaces a measurement that the source does not have."""
    owners: dict[tuple[str, str, str], set[str]] = {}
    for m, source, rows in ROWS:
        if not rows.stand_in:
            for code in rows.codes:
                owners.setdefault((source, rows.table, code), set()).add(m.name)
    assert [key for key, names in owners.items() if len(names) > 1] == []
    of_items = {code for source, _, code in owners if source == "mimic"}
    assert len(of_items) == sum(source == "mimic" for source, *_ in owners)  # in one table alone


def test_an_item_of_mimic_has_one_or_two_ranges_of_one_unit() -> None:
    """The reader of MIMIC reads no more."""
    for m in ALL:
        for code in {code for rows in m.mimic for code in rows.codes}:
            ranges = [rows for rows in m.mimic if code in rows.codes]
            assert len(ranges) <= 2, code
            assert len({(r.table, r.unit, r.read_as, r.means_one) for r in ranges}) == 1, code
            assert not any(r.fahrenheit for r in ranges[1:]), code


def test_a_stand_in_is_read_only_if_no_other_measurement_reads_its_code() -> None:
    """The Challenge has no pulse oximetry. Its arterial saturation is read instead."""
    (alone,), (both, sao2) = choose(["spo2"]), choose(["spo2", "sao2"])
    assert [list(rows.codes) for rows in alone.challenge2012] == [["SaO2"]]
    assert both.challenge2012 == ()
    assert [list(rows.codes) for rows in sao2.challenge2012] == [["SaO2"]]
    assert alone.mimic == both.mimic != ()
    codes = [
        code for m in choose(SETS["extended"]) for rows in m.challenge2012 for code in rows.codes
    ]
    assert len(codes) == len(set(codes)) > 30


@pytest.mark.parametrize(
    ("potassium", "source", "items"),
    [
        ("both", "mimiciii", ["50822", "50971"]),
        ("blood_gas", "mimiciii", ["50822"]),
        ("blood_gas", "mimiciv", ["50822"]),
    ],
)
def test_potassium(potassium: str, source: str, items: list[str]) -> None:
    (found,) = choose(["potassium"], source, potassium)
    assert [code for rows in found.mimic for code in rows.codes] == items
    assert found.eicu == DICTIONARY["potassium"].eicu


def test_some_items_are_read_from_mimic4_alone() -> None:
    new = {"sysbp": "225309", "diasbp": "225310"}
    for name, code in new.items():
        read = {
            source: {c for rows in choose([name], source)[0].mimic for c in rows.codes}
            for source in ("mimiciii", "mimiciv")
        }
        assert read["mimiciv"] - read["mimiciii"] == {code}


def limits_of(name: str, source: str, **limits: float) -> list[tuple[float, float, bool]]:
    """The charted limits of each entry of a measurement, with other limits for it.

    Lower limit, upper limit, and whether the upper one counts.
    """
    (found,) = choose([name], limits={name: Limits(**limits)})
    assert found.limits == Limits(**limits)
    return [
        (round(rows.limits.above, 3), round(rows.limits.highest, 3), rows.limits.highest_counts)
        for rows in getattr(found, source)
    ]


def test_other_limits_hold_for_the_stored_value_in_every_unit() -> None:
    assert limits_of("heartrate", "mimic", above=20, at_most=250) == [(20, 250, True)]
    # 86 and 113 °F are 30 and 45 °C.
    assert limits_of("tempc", "mimic", above=30, below=45)[0] == (86, 113, False)
    assert limits_of("tempc", "mimic", above=30, below=45)[1] == (30, 45, False)
    # 1.8 kg is 3.9683 lb.
    assert limits_of("weight", "mimic", above=36, at_most=180)[1] == (79.366, 396.832, True)
    # A fraction of 0.3 to 1 is 30 % to 100 %.
    percent, fraction, lab = limits_of("fio2", "mimic", above=30, at_most=100)
    assert percent == lab == (30, 100, True)
    assert fraction == (0.3, 1, True)
    # 10 and 30 mmol/L of glucose are 180.16 and 540.48 mg/dL.
    assert limits_of("glucose", "eicu", above=180.16, at_most=540.48)[1] == (10, 30, True)


def test_other_limits_never_widen_those_that_tell_two_units_apart() -> None:
    assert limits_of("tempc", "mimic", above=0, at_most=100)[0] == (70, 120, False)
    assert limits_of("calcium", "eicu", above=0, at_most=20)[1] == (2.5, 10.02, True)
    assert limits_of("fio2", "mimic", above=0, at_most=100)[1] == (0.2, 1, True)


def test_limits_that_exclude_a_unit_leave_it_without_values() -> None:
    """10 to 20 °C are 50 to 68 °F, where the limits of °F begin at 70."""
    above, highest, _ = limits_of("tempc", "mimic", above=10, below=20)[0]
    assert (above, highest) == (70, 68)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"above": 0}, "limits need either at_most or below"),
        ({"above": 0, "at_most": 1, "below": 1}, "limits need either at_most or below"),
        ({"above": 5, "at_most": 5}, "above 5 is not below the upper limit 5"),
        ({"above": 0, "below": float("inf")}, "finite"),
        ({"above": 0, "upto": 5}, "Extra inputs"),
    ],
)
def test_limits_that_are_none(content: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limits.model_validate(content)


def test_names_of_a_set_and_of_a_list() -> None:
    assert names_of("literature") == SETS["literature"]
    assert names_of(["ph", "bun"]) == ("ph", "bun")


def test_the_example_of_other_limits_in_params_yaml_works(file: Path) -> None:
    (option,) = re.findall(r"-S '(\+extract\.limits\.[^']+)'", file.read_text())
    apply_overrides(file, [option])
    assert load_params(file).extract.limits == {"glucose": Limits(above=0, at_most=2000)}


REFUSED = [
    ("measurements=everything", "'everything' is no set of measurements: use literature or exte"),
    ("measurements=[ph,pulse]", "unknown measurements: pulse: known are potassium, calcium"),
    ("measurements=[ph,bun,ph]", "a measurement is named twice: name each once"),
    ("measurements=[]", "measurements"),
    ("measurements=[weight]", "only static ones are named: the grid would be empty"),
    (
        "measurements=[urine,ph,weight]",
        "measurements: the synthetic hospital has no urine, weight: set measurements to literature",
    ),
    (
        "+extract.limits.gcs={above: 2, at_most: 15}",
        "extract.limits: gcs: not among measurements, so the limits have no effect: remove them",
    ),
    ("+extract.limits.ph={above: 9, at_most: 8}", "above 9 is not below the upper limit 8"),
    ("+extract.limits.ph={above: 6}", "limits need either at_most or below"),
]


def refusal(file: Path, *options: str) -> str:
    """The line that refuses params.yaml with these options of `dvc exp run -S`."""
    apply_overrides(file, list(options))
    with pytest.raises(InputError) as error:
        load_params(file)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("option", "message"), REFUSED)
def test_a_choice_that_cannot_be_is_refused_in_one_line(
    file: Path, option: str, message: str
) -> None:
    assert message in refusal(file, option)


@pytest.mark.parametrize("source", ["eicu", "challenge2012", "meds"])
def test_only_mimic_tells_potassium_of_blood_gases(file: Path, source: str) -> None:
    options = ["extract.potassium=blood_gas", f"extract.source={source}", "extract.raw=records"]
    said = refusal(file, *options)
    assert "only MIMIC tells which potassium is from blood gases: set it to both" in said


def test_potassium_that_is_not_chosen_has_no_kinds(file: Path) -> None:
    said = refusal(file, "extract.potassium=blood_gas", "measurements=[ph]")
    assert "potassium blood_gas has no effect without potassium among measurements" in said


@pytest.mark.parametrize("source", ["mimiciii", "mimiciv"])
def test_a_total_needs_its_parts_in_mimic(file: Path, source: str) -> None:
    options = [f"extract.source={source}", "extract.raw=records"]
    said = refusal(file, "measurements=[gcs,gcs_eye]", *options)
    assert "gcs is the sum of others in MIMIC: name gcs_verbal, gcs_motor too" in said


def test_the_synthetic_hospital_has_the_set_literature_alone(file: Path) -> None:
    said = refusal(file, "measurements=extended")
    absent = [name for name in SETS["extended"] if name not in SETS["literature"]]
    assert f"has no {', '.join(absent)}: set measurements to literature" in said
    apply_overrides(file, ["extract.source=mimiciii", "extract.raw=records"])
    assert load_params(file).names == SETS["extended"]


def test_a_total_without_its_parts_is_fine_where_it_is_charted(file: Path) -> None:
    options = ["measurements=[gcs,ph]", "extract.source=challenge2012", "extract.raw=records"]
    apply_overrides(file, options)
    assert load_params(file).columns == ("gcs", "ph")


def test_a_note_says_what_differs_in_a_source() -> None:
    assert note("challenge2012", "calcium") == "not in these data"
    assert note("challenge2012", "spo2").startswith("arterial SaO2")
    assert note("challenge2012", "spo2", ["spo2", "ph"]).startswith("arterial SaO2")
    assert note("challenge2012", "spo2", ["spo2", "sao2"]) == "not in these data"
    assert note("mimiciii", "spo2") == ""


def test_allowable_error_is_the_larger_of_both_and_zero_without_a_source() -> None:
    values = np.array([1.0, 4.0], np.float32)
    np.testing.assert_allclose(DICTIONARY["creatinine"].allowable_error(values), [0.2, 0.4])
    np.testing.assert_allclose(DICTIONARY["ph"].allowable_error(values), [0.04, 0.04])
    assert DICTIONARY["urine"].allowable is None
    assert not DICTIONARY["urine"].allowable_error(values).any()


def test_each_measurement_of_the_literature_has_an_allowable_error_with_a_source() -> None:
    for name in SETS["literature"]:
        allowable = DICTIONARY[name].allowable
        assert allowable is not None, name
        assert allowable.source, name
