import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from icu_adversarial.config.params import Params, load_params
from icu_adversarial.core.errors import InputError

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "params.yaml").read_text()


def changed(tmp_path: Path, old: str, new: str) -> Path:
    assert old in TEXT
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace(old, new, 1))
    return path


def test_search_ranges_are_those_of_the_literature(params: Params) -> None:
    space = params.tune_model.space
    assert (space.log2_n_lstm.low, space.log2_n_lstm.high) == (5, 7)
    assert set(space.n_fc) == {0, 16, 32, 64, 128, 256}  # and none
    assert (space.dropout.low, space.dropout.high) == (0, 0.5)
    assert (space.learning_rate.low, space.learning_rate.high, space.learning_rate.log) == (
        1e-5,
        1e-1,
        True,
    )
    assert (space.log2_batch_size.low, space.log2_batch_size.high) == (5, 8)
    attack = params.tune_attack.space.prior
    assert set(space.optimizer) == set(attack.optimizer) == {"adam", "rmsprop", "sgd"}
    assert (attack.kappa.low, attack.kappa.high) == (0, 2)
    assert (attack.penalty.low, attack.penalty.high, attack.penalty.log) == (1e-7, 1, True)
    assert (attack.learning_rate.low, attack.learning_rate.high, attack.learning_rate.log) == (
        1e-5,
        1,
        True,
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  trials: 3",
            "  trials: 3\n  trails: 9",
            "tune_model.trails: Extra inputs are not permitted",
        ),
        (
            "source: synthetic\n",
            "source: mimic\n",
            "extract.source: Input should be 'synthetic', 'mimiciii', 'mimiciv', 'eicu', 'challenge2012' or 'meds'",
        ),
        (
            "low: 0.0, high: 0.5",
            "low: 0.6, high: 0.5",
            "dropout: low 0.6 is above high 0.5",
        ),
        ("low: 1e-05, high: 0.1", "low: 0, high: 0.1", "a logarithmic range must start above 0"),
        ("test_fraction: 0.2", "test_fraction: 1.5", "split.test_fraction"),
        (
            "lower_percentile: 1\n",
            "lower_percentile: 99\n",
            "lower_percentile 99 must be below upper_percentile 99",
        ),
        ("bin_hours: 1\n", "bin_hours: 5\n", "bin_hours 5 does not divide window_hours 48"),
        (
            "bin_hours: 1\n",
            "bin_hours: 0\n",
            "bin_hours: Input should be greater than or equal to 1",
        ),
        (
            "stays: all\n",
            "stays: last\n",
            "preprocess.stays: Input should be 'all', 'first_of_admission' or 'first_of_subject'",
        ),
        (
            "- hours_since_observed\n",
            "- observed\n",
            "model.extra_channels: names one value twice",
        ),
        (
            "  - sex\n",
            "  - age\n",
            "model.static_inputs: names one value twice",
        ),
        (
            "  - sex\n",
            "  - race\n",
            "model.static_inputs.1: Input should be 'age', 'sex', 'icu_type', 'weight' or 'height', found 'race'",
        ),
        (
            "architecture: pooled_lstm",
            "architecture: transformer",
            "model.architecture: Input should be 'lstm', 'pooled_lstm' or 'gru_d'",
        ),
        (
            "    architecture: lstm\n",
            "    architecture: gru_d\n",
            "literature.model: architecture gru_d needs extra_channels [observed, hours_since_observed]",
        ),
        (
            "  - observed\n",
            "",
            "model: n_summary needs observed among extra_channels",
        ),
        (
            "n_summary: 128",
            "n_summary: -1",
            "model.n_summary: Input should be greater than or equal to 0, found -1",
        ),
        (
            "    dropout: 0.3",
            "    dropout: 1",
            "tune_model.first.dropout: Input should be less than 1",
        ),
        (
            "n_lstm: 64\n",
            "n_lstm: 0\n",
            "tune_model.first.n_lstm: Input should be greater than or equal to 1, found 0",
        ),
        ("conv: 0 ", "conv: -1 ", "model.conv: Input should be greater than or equal to 0"),
        (
            "max_gradient: 1.0",
            "max_gradient: 0",
            "model.max_gradient: Input should be greater than 0",
        ),
        (
            "learning_rate: 0.001",
            "learning_rate: 0",
            "tune_model.first.learning_rate: Input should be greater than 0",
        ),
        (
            "keep: last\n",
            "keep: first\n",
            "model.keep: Input should be 'best' or 'last', found 'first'",
        ),
        (
            "schedule: one_cycle",
            "schedule: two_cycle",
            "model.schedule: Input should be 'constant' or 'one_cycle'",
        ),
        (
            "sampling: natural",
            "sampling: weighted",
            "model.sampling: Input should be 'natural' or 'balanced'",
        ),
        (
            "model: {}",
            "model: {nfc: 32}",
            "rows.sun.model.nfc: Extra inputs are not permitted, found 32",
        ),
        (
            "architecture: gru_d\n",
            "architecture: gru_d\n        conv: 8\n",
            "rows.gru_d.model: conv 8 has no effect with architecture gru_d",
        ),
        (
            "        n_lstm: 64\n",
            "        n_lstm: -1\n",
            "rows.gru_d.model.n_lstm: Input should be greater than or equal to 1, found -1",
        ),
        (
            "  - 0.25\n  - 0.5\n",
            "  - 1.0\n",
            "learning_curve.shares.1: Input should be less than 1",
        ),
        (
            "shares:\n  - 0.125\n  - 0.25\n  - 0.5\n",
            "shares: []\n",
            "learning_curve.shares: needs at least one value",
        ),
        ("epochs: 18", "epochs: eighteen", "train.epochs"),
        (
            "dropout: {low: 0.0, high: 0.5}",
            "dropout: {low: 0.0, high: 2}",
            "dropout: the range must be inside 0 to 0.99: found 0 to 2",
        ),
        (
            "log2_n_lstm: {low: 5",
            "log2_n_lstm: {low: -1",
            "log2_n_lstm: the range must be inside 0 to 16: found -1 to 7",
        ),
        (
            "optimizer:\n    - adam\n    - rmsprop\n    - sgd\n",
            "optimizer: []\n",
            "tune_model.space.optimizer: needs at least one value",
        ),
        (
            "pruner_percentile: 25",
            "pruner_percentile: 101",
            "tune_model.pruner_percentile: Input should be less than or equal to 100",
        ),
        ("radius: {low: 0.1", "radius: {low: 0", "tune_attack.space.l1.radius: a logarithmic"),
        (
            "cap:\n      - 0.25\n      - 0.5\n      - 1.0\n",
            "cap: []\n",
            "tune_attack.space.l1.cap: needs at least one value",
        ),
        (
            "candidates: {low: 4",
            "candidates: {low: 0",
            "tune_attack.space.l0.candidates: the range must be inside 1 to",
        ),
        (
            "source: synthetic\n",
            "source: mimiciii\n",
            "source synthetic and raw data/raw/synthetic go together",
        ),
        (
            "raw: data/raw/synthetic",
            "raw: /somewhere/else",
            "source synthetic and raw data/raw/synthetic go together",
        ),
        (
            "code_map: code_maps/mimiciv_meds.csv",
            "code_map: code_maps/other.csv",
            "code_map code_maps/other.csv has no effect with source synthetic: only meds reads it",
        ),
        ("split:", "spilt:", "missing keys: split"),
    ],
)
def test_wrong_key_or_value_is_one_line_that_names_it(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as error:
        load_params(changed(tmp_path, old, new))
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(
        f"(to take all changes of the file back: git checkout {tmp_path / 'params.yaml'})"
    )
    assert len(str(error.value)) < 400  # no block is repeated as a whole


def blocks(content: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of params.yaml with its value, by its path."""
    for name, value in content.items():
        yield (*path, name), value
        if isinstance(value, dict):
            yield from blocks(value, *path, name)


CONTENT = YAML(typ="safe").load(TEXT)
# Those that an empty value makes empty, and a key of the first trial, which fills `model`.
EMPTIED = [path for path, value in blocks(CONTENT) if value and isinstance(value, dict | list)]
EMPTIED = [path for path in EMPTIED if path[0] != "literature"] + [("tune_model", "first", "n_fc")]


@pytest.mark.parametrize("path", EMPTIED, ids=".".join)
def test_an_empty_block_or_list_is_refused_once(tmp_path: Path, path: tuple[str, ...]) -> None:
    content = deepcopy(CONTENT)
    block = content
    for name in path[:-1]:
        block = block[name]
    block[path[-1]] = type(block[path[-1]])() if isinstance(block[path[-1]], dict | list) else None
    file = tmp_path / "params.yaml"
    file.write_text(json.dumps(content))  # JSON is YAML
    if path == ("model", "static_inputs"):
        assert load_params(file).model.static_inputs == ()
        return
    with pytest.raises(InputError) as error:
        load_params(file)
    reason = str(error.value).partition(": ")[2].partition(" (to take")[0]
    assert ".".join(path) in reason or reason.startswith("model: n_summary needs observed")
    assert "; " not in reason


def test_a_file_that_holds_no_settings(tmp_path: Path) -> None:
    for text in ("", "[]", "model: []\ntune_model: 3"):
        (tmp_path / "params.yaml").write_text(text)
        with pytest.raises(InputError, match=r"params\.yaml: .*Input should be a valid dictionary"):
            load_params(tmp_path / "params.yaml")


def test_a_row_of_the_comparison_changes_no_more_than_it_says(params: Params) -> None:
    common = params.literature.model.model_dump()
    for row, about in params.literature.rows.items():
        found = params.literature.model_of(row).model_dump(mode="json")
        assert {
            name: value
            for name, value in found.items()
            if value != params.literature.model.model_dump(mode="json")[name]
        }.items() <= about.model.items()
        assert set(about.model) <= set(common)
    assert [
        row for row, about in params.literature.rows.items() if about.scored_on != "held_out"
    ] == ["prior_leaky"]
    assert all(
        params.literature.rows[row].differs[0].startswith("LEAK")
        for row in ("prior", "prior_leaky")
    )


def test_values_left_unobserved_need_a_mask(tmp_path: Path) -> None:
    path = changed(tmp_path, "interpolation: linear\n", "interpolation: none\n")
    assert load_params(path).features.interpolation == "none"
    path.write_text(
        path.read_text().replace("- observed\n", "", 1).replace("n_summary: 128", "n_summary: 0")
    )
    with pytest.raises(
        InputError, match=r"interpolation none needs observed among model\.extra_channels"
    ):
        load_params(path)


@pytest.mark.parametrize(
    ("window_hours", "bin_hours", "last"), [(24, 1, 23), (48, 2, 46), (72, 2, 70), (72, 72, 0)]
)
def test_the_bins_of_a_window(tmp_path: Path, window_hours: int, bin_hours: int, last: int) -> None:
    path = changed(tmp_path, "window_hours: 48", f"window_hours: {window_hours}")
    path.write_text(path.read_text().replace("bin_hours: 1\n", f"bin_hours: {bin_hours}\n", 1))
    hours = load_params(path).hours
    assert (len(hours), hours[0], hours[-1], hours.stop) == (
        window_hours // bin_hours,
        0,
        last,
        window_hours,
    )


def with_profile(tmp_path: Path, name: str) -> Params:
    """params.yaml after `dvc exp run $(cat profiles/NAME)`."""
    lines = (ROOT / "profiles" / name).read_text().splitlines()
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    apply_overrides(path, [line.removeprefix("-S ") for line in lines])
    return load_params(path)


@pytest.mark.parametrize("profile", sorted(file.name for file in (ROOT / "profiles").iterdir()))
def test_every_profile_sets_parameters_that_there_are(tmp_path: Path, profile: str) -> None:
    assert with_profile(tmp_path, profile)


def test_profile_prior_is_the_cohort_and_the_input_of_prior(tmp_path: Path, params: Params) -> None:
    """48 bins of one hour, adults with a day in hospital and in the ICU, one stay per admission; values alone, 5th to 95th percentile."""
    prior = with_profile(tmp_path, "prior")
    assert prior.hours == range(48)
    assert prior.extract.potassium == "blood_gas"
    cohort = prior.preprocess
    assert (
        cohort.stays,
        cohort.min_age,
        cohort.min_hospital_hours,
        cohort.min_icu_hours,
        cohort.gap_hours,
    ) == ("first_of_admission", 18, 24, 24, 0)
    features = prior.features
    assert (features.interpolation, features.limit_direction) == ("linear", "both")
    assert (prior.model.extra_channels, prior.model.static_inputs) == ((), ())
    assert (features.lower_percentile, features.upper_percentile) == (5, 95)
    differs = {
        "extract": {"potassium"},
        "preprocess": {"stays"},
        "features": {"lower_percentile", "upper_percentile", "winsorise"},
        "model": {"extra_channels", "n_summary", "static_inputs"},
    }
    for block, keys in differs.items():  # what PRIOR does otherwise than the defaults
        assert {
            k for k, v in prior.model_dump()[block].items() if v != params.model_dump()[block][k]
        } <= keys


def test_numbers_as_dvc_writes_them_are_numbers(tmp_path: Path) -> None:
    assert (
        load_params(
            changed(tmp_path, "low: 1e-07", "low: 1e-07")
        ).tune_attack.space.prior.penalty.low
        == 1e-7
    )


def test_parameters_never_change(params: Params) -> None:
    with pytest.raises(ValueError, match="frozen"):
        params.train.epochs = 1  # type: ignore[misc]


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run from the root of the repository"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(InputError, match="it is not YAML") as error:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(error.value)
