import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from icu_adversarial.errors import InputError
from icu_adversarial.params import Params, load_params

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "params.yaml").read_text()


def changed(tmp_path: Path, old: str, new: str) -> Path:
    assert old in TEXT
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace(old, new, 1))
    return path


def test_search_ranges_are_those_of_the_literature(params: Params) -> None:
    space = params.tune_model.space
    assert (space.log2_n_lstm.low, space.log2_n_lstm.high) == (5, 7)
    assert (space.log2_n_fc.low, space.log2_n_fc.high) == (4, 8)
    assert (space.dropout.low, space.dropout.high) == (0, 0.5)
    assert (space.learning_rate.low, space.learning_rate.high, space.learning_rate.log) == (1e-5, 1e-1, True)
    assert (space.log2_batch_size.low, space.log2_batch_size.high) == (5, 8)
    attack = params.tune_attack.space.prior
    assert set(space.optimizer) == set(attack.optimizer) == {"adam", "rmsprop", "sgd"}
    assert (attack.kappa.low, attack.kappa.high) == (0, 2)
    assert (attack.penalty.low, attack.penalty.high, attack.penalty.log) == (1e-7, 1, True)
    assert (attack.learning_rate.low, attack.learning_rate.high, attack.learning_rate.log) == (1e-5, 1, True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  trials: 8", "  trials: 8\n  trails: 9", "tune_model.trails: Extra inputs are not permitted"),
        (
            "source: synthetic ",
            "source: mimic ",
            "extract.source: Input should be 'synthetic', 'mimiciii', 'mimiciv', 'eicu', 'challenge2012' or 'meds'",
        ),
        ("low: 0.0, high: 0.5", "low: 0.6, high: 0.5", "dropout: Value error, low 0.6 lies above high 0.5"),
        ("low: 1.0e-5, high: 1.0e-1", "low: 0, high: 1.0e-1", "a logarithmic range starts above 0"),
        ("test_fraction: 0.2", "test_fraction: 1.5", "split.test_fraction"),
        ("lower_percentile: 5 ", "lower_percentile: 99 ", "lower_percentile must lie below upper_percentile"),
        ("bin_hours: 1 ", "bin_hours: 5 ", "bin_hours 5 does not divide window_hours 48"),
        ("bin_hours: 1 ", "bin_hours: 0 ", "bin_hours: Input should be greater than or equal to 1"),
        ("stays: all ", "stays: last ", "preprocess.stays: Input should be 'all', 'first_of_admission' or 'first_of_subject'"),
        ("extra_channels: [observed, ", "extra_channels: [observed, observed, ", "extra_channels names a channel twice"),
        ("epochs: 40", "epochs: forty", "train.epochs"),
        ("source: synthetic ", "source: mimiciii ", "source synthetic and raw data/raw/synthetic go together"),
        ("raw: data/raw/synthetic", "raw: /somewhere/else", "source synthetic and raw data/raw/synthetic go together"),
        ("split:", "spilt:", "split: Field required"),
    ],
)
def test_wrong_key_or_value_is_one_line_that_names_it(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as error:
        load_params(changed(tmp_path, old, new))
    assert "\n" not in str(error.value)


def test_values_left_unobserved_need_a_mask(tmp_path: Path) -> None:
    path = changed(tmp_path, "interpolation: linear ", "interpolation: none ")
    assert load_params(path).features.interpolation == "none"
    path.write_text(path.read_text().replace("extra_channels: [observed, ", "extra_channels: [", 1))
    with pytest.raises(InputError, match="interpolation none needs observed among extra_channels"):
        load_params(path)


@pytest.mark.parametrize(("window_hours", "bin_hours", "last"), [(24, 1, 23), (48, 2, 46), (72, 2, 70), (72, 72, 0)])
def test_the_bins_of_a_window(tmp_path: Path, window_hours: int, bin_hours: int, last: int) -> None:
    path = changed(tmp_path, "window_hours: 48", f"window_hours: {window_hours}")
    path.write_text(path.read_text().replace("bin_hours: 1 ", f"bin_hours: {bin_hours} ", 1))
    hours = load_params(path).hours
    assert (len(hours), hours[0], hours[-1], hours.stop) == (window_hours // bin_hours, 0, last, window_hours)


def with_profile(tmp_path: Path, name: str) -> Params:
    """params.yaml after `dvc exp run $(cat profiles/NAME)`."""
    yaml = YAML(typ="safe")
    content = yaml.load(TEXT)
    for line in (ROOT / "profiles" / name).read_text().splitlines():
        key, _, value = line.removeprefix("-S ").partition("=")
        *path, last = key.split(".")
        block = content
        for part in path:
            block = block[part]
        assert last in block, key
        block[last] = yaml.load(value)
    yaml.dump(content, tmp_path / "params.yaml")
    return load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("profile", sorted(file.name for file in (ROOT / "profiles").iterdir()))
def test_every_profile_sets_parameters_that_there_are(tmp_path: Path, profile: str) -> None:
    assert with_profile(tmp_path, profile)


def test_profile_prior_is_the_cohort_and_the_input_of_prior(tmp_path: Path, params: Params) -> None:
    """48 bins of one hour, adults with a day in hospital and in the ICU, one stay per admission; values alone, 5th to 95th percentile."""
    prior = with_profile(tmp_path, "prior")
    assert prior.hours == range(48)
    assert prior.extract.potassium == "blood_gas"
    cohort = prior.preprocess
    assert (cohort.stays, cohort.min_age, cohort.min_hospital_hours, cohort.min_icu_hours, cohort.gap_hours) == ("first_of_admission", 18, 24, 24, 0)
    features = prior.features
    assert (features.interpolation, features.limit_direction, features.extra_channels) == ("linear", "both", ())
    assert (features.lower_percentile, features.upper_percentile) == (5, 95)
    untouched = {"extract": {"potassium"}, "preprocess": {"stays"}, "features": {"extra_channels"}}  # what PRIOR does otherwise than the defaults
    for block, keys in untouched.items():
        assert {k for k, v in prior.model_dump()[block].items() if v != params.model_dump()[block][k]} <= keys


def test_numbers_as_dvc_writes_them_are_numbers(tmp_path: Path) -> None:
    assert load_params(changed(tmp_path, "low: 1.0e-7", "low: 1e-07")).tune_attack.space.prior.penalty.low == 1e-7


def test_parameters_never_change(params: Params) -> None:
    with pytest.raises(ValueError, match="frozen"):
        params.train.epochs = 1  # type: ignore[misc]


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run from the root of the repository"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(InputError, match="is not YAML") as error:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(error.value)
