"""The curves of a training and of a search can be read while they run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from model_world import lay, make_cohort, small

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.model import training
from icu_adversarial.model.curves import NAMES
from icu_adversarial.model.state import TrainingState
from icu_adversarial.stages import train, tune_model

pytestmark = pytest.mark.usefixtures("_empty_folder")
TRAIN, TUNE = paths.METRICS / "train" / "plots", paths.METRICS / "tune_model" / "plots"


def files(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def live(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, sep="\t")


def stop_at(
    monkeypatch: pytest.MonkeyPatch, module: str, call: int, look: Callable[[], None]
) -> None:
    """At this call of `advance` in `module`, look at the files; then stop the run."""
    calls = 0

    def advance(*arguments: Any, **options: Any) -> TrainingState:
        nonlocal calls
        calls += 1
        if calls == call:
            look()
            raise KeyboardInterrupt
        return training.advance(*arguments, **options)

    monkeypatch.setattr(f"icu_adversarial.model.{module}.advance", advance)


def test_the_curves_of_a_training_are_live_and_a_resumed_one_ends_with_the_same_bytes(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(*make_cohort(stays=120))
    chosen = small(params, tune_model={"trials": 0}, train={"epochs": 6, "evaluate_every": 2})
    tune_model.run(chosen)
    train.run(chosen)
    whole = files(paths.METRICS / "train")
    seen: list[str] = []

    def look() -> None:
        """Two of three evaluations are done; the curves are those of the whole run so far."""
        for name in NAMES:
            for k in range(3):
                file = TRAIN / "metrics" / name / f"fold_{k}.tsv"
                assert live(file)["step"].tolist() == [2, 4]
                assert whole[str(file)].startswith(file.read_bytes())
        seen.extend(pd.read_csv(TRAIN / "learning.csv")["quantity"])

    with monkeypatch.context() as patch:
        stop_at(patch, "folds", 7, look)
        with pytest.raises(KeyboardInterrupt):
            train.run(chosen)
    assert seen == 3 * 2 * list(NAMES)
    assert files(paths.METRICS / "train") != whole
    train.run(chosen)
    assert files(paths.METRICS / "train") == whole
    assert {Path(file).name for file in whole} == {
        *(f"fold_{k}.tsv" for k in range(3)),
        "learning.csv",
        "metrics.json",
    }


def test_the_trials_of_a_search_are_live_and_a_resumed_one_ends_with_the_same_bytes(
    params: Params, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lay(*make_cohort(stays=120))
    chosen = small(params, tune_model={"trials": 4})
    tune_model.run(chosen)
    whole = files(paths.METRICS / "tune_model")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "again"))

    def look() -> None:
        """Two trials of two rounds on two folds are done."""
        assert live(TUNE / "metrics" / "value.tsv")["step"].tolist() == [0, 1]
        assert pd.read_csv(TUNE / "history.csv")["trial"].tolist() == [0, 1]

    with monkeypatch.context() as patch:
        stop_at(patch, "tuning", 9, look)
        with pytest.raises(KeyboardInterrupt):
            tune_model.run(chosen)
    assert files(paths.METRICS / "tune_model") != whole
    tune_model.run(chosen)
    assert files(paths.METRICS / "tune_model") == whole
    table = pd.read_parquet(paths.TUNE_MODEL / "trials.parquet")
    for name in ("value", "auroc", "auprc", "epochs"):
        curve = live(TUNE / "metrics" / f"{name}.tsv").set_index("step")[name]
        pd.testing.assert_series_equal(
            curve, table[name].dropna().astype(curve.dtype), check_names=False, rtol=1e-5
        )
