import re
from pathlib import Path

import pytest

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
    assert set(space.optimizer) == set(params.tune_attack.space.optimizer) == {"adam", "rmsprop", "sgd"}
    attack = params.tune_attack.space
    assert (attack.kappa.low, attack.kappa.high) == (0, 2)
    assert (attack.penalty.low, attack.penalty.high, attack.penalty.log) == (1e-7, 1, True)
    assert (attack.learning_rate.low, attack.learning_rate.high, attack.learning_rate.log) == (1e-5, 1, True)
    assert (attack.log2_batch_size.low, attack.log2_batch_size.high) == (5, 7)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  trials: 8", "  trials: 8\n  trails: 9", "tune_model.trails: Extra inputs are not permitted"),
        ("source: synthetic ", "source: mimic ", "extract.source: Input should be 'synthetic', 'mimiciii' or 'challenge2012'"),
        ("low: 0.0, high: 0.5", "low: 0.6, high: 0.5", "dropout: Value error, low 0.6 lies above high 0.5"),
        ("low: 1.0e-5, high: 1.0e-1", "low: 0, high: 1.0e-1", "a logarithmic range starts above 0"),
        ("test_fraction: 0.2", "test_fraction: 1.5", "split.test_fraction"),
        ("lower_percentile: 5 ", "lower_percentile: 99 ", "lower_percentile must lie below upper_percentile"),
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


def test_numbers_as_dvc_writes_them_are_numbers(tmp_path: Path) -> None:
    assert load_params(changed(tmp_path, "low: 1.0e-7", "low: 1e-07")).tune_attack.space.penalty.low == 1e-7


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
