"""tune_model without trials, train, evaluate, literature, literature_table and learning_curve, one after the
other on a tiny cohort."""

import json
import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from literature_set import NAMES, M
from model_world import lay, make_cohort, small
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_array, six_digits
from icu_adversarial.core.schemas import COHORT, PREDICTIONS, read_table, write_table
from icu_adversarial.evaluate.baseline_inputs import summaries
from icu_adversarial.features.cohort import cohort_warning
from icu_adversarial.features.splits import some_subjects
from icu_adversarial.features.statics import fit_statics
from icu_adversarial.model.calibration import SMALLEST_SLOPE
from icu_adversarial.model.fold_data import make_folds
from icu_adversarial.stages import evaluate, train, tune_model
from icu_adversarial.studies import leaky, learning_curve, literature, literature_table

ROWS = ("sun", "tang_cnn_static", "prior_leaky", "gru_d")
SHARES = (0.25, 0.5)


def make_params(params: Params, **changes: dict[str, Any]) -> Params:
    rows = {
        row: content
        for row, content in params.literature.model_dump()["rows"].items()
        if row in ROWS
    }
    for row in rows.values():
        row["model"] |= {"n_lstm": 4, "learning_rate": 0.01}
    return small(
        params,
        **(
            {
                "literature": {"rows": rows},
                "tune_model": {"trials": 0},
                "learning_curve": {"shares": SHARES[::-1]},
            }
            | changes
        ),
    )


def run_all(params: Params, cohort: pd.DataFrame, grid: np.ndarray) -> None:
    lay(cohort, grid)
    tune_model.run(params)
    train.run(params)
    evaluate.run(params)
    for row in params.literature.rows:
        literature.run(params, row)
    literature_table.run(params)
    learning_curve.run(params)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """The folder after all stages."""
    folder = tmp_path_factory.mktemp("stages")
    with pytest.MonkeyPatch.context() as patch, joblib.parallel_config("sequential"):
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        run_all(make_params(params), *make_cohort())
    return folder


@pytest.fixture
def done(whole: Path, _empty_folder: None) -> None:
    """The current folder is a copy of it."""
    shutil.copytree(whole, ".", dirs_exist_ok=True)


def metrics(stage: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((paths.METRICS / stage / "metrics.json").read_text())
    return content


def scored(table: pd.DataFrame) -> dict[str, float]:
    died, log_odds = table["died"], table["logit_1"] - table["logit_0"]
    return {
        "auroc": roc_auc_score(died, log_odds),
        "auprc": average_precision_score(died, log_odds),
    }


@pytest.mark.usefixtures("done")
@pytest.mark.parametrize("row", ["train", *ROWS])
def test_scores_are_those_of_the_predictions_written(row: str) -> None:
    """Each fold's on its own held-out stays, as mean and sd; and on the test set."""
    folder, about = (
        (paths.LITERATURE / row, metrics(f"literature/{row}"))
        if row != "train"
        else (paths.PREDICTIONS.parent, metrics("train") | metrics("evaluate"))
    )
    table, cohort = (
        read_table(folder / "predictions.parquet", PREDICTIONS),
        read_table(paths.COHORT, COHORT),
    )
    assert table[["stay_id", "fold", "died"]].equals(cohort[["stay_id", "fold", "died"]])
    assert len(about["epochs"]) == len(list((folder / "models").iterdir())) == 3
    if row == "prior_leaky":
        return
    folds, test = (
        about[split]["network"] if row == "train" else about[split] for split in ("folds", "test")
    )
    each = pd.DataFrame([scored(table[table["fold"] == k]) for k in range(3)])
    for name in ("auroc", "auprc"):
        assert folds[name] == {
            "mean": pytest.approx(each[name].mean(), abs=1e-6),
            "sd": pytest.approx(each[name].std(), abs=1e-6),
            "standard_error": pytest.approx(each[name].std() * np.sqrt(1 / 3 + 1 / 2), abs=1e-6),
        }
        assert test[name]["value"] == pytest.approx(
            scored(table[table["split"] == "test"])[name], abs=1e-6
        )
        assert test[name]["low"] < test[name]["value"] < test[name]["high"]
    chosen = table[table["split"] == "test"]
    assert test["accuracy"]["value"] == pytest.approx(
        (chosen["predicted"] == chosen["died"]).mean()
    )


@pytest.mark.usefixtures("done")
def test_the_leaky_scores_are_marked_and_come_from_training_stays(params: Params) -> None:
    chosen, about = make_params(params), metrics("literature/prior_leaky")
    assert about["scored_on"] == "balanced_training"
    assert about["test"] is None
    assert "NOT a held-out result" in about["label"]
    assert all(
        metrics(f"literature/{row}")["scored_on"] == "held_out"
        for row in ROWS
        if row != "prior_leaky"
    )
    models = [paths.LITERATURE / "prior_leaky" / "models" / f"fold_{k}" for k in range(3)]
    recipe = chosen.literature.model_of("prior_leaky")
    folds, _ = make_folds(
        read_array(paths.GRID),
        NAMES,
        read_table(paths.COHORT, COHORT),
        chosen.literature.features,
        recipe,
    )
    found = leaky.scores_on_training_stays(models, folds, chosen.literature.train.seed)
    assert about["folds"] == six_digits(found)


@pytest.mark.usefixtures("done")
def test_each_row_is_the_network_that_it_says(params: Params) -> None:
    for row in ROWS:
        saved = json.loads(
            (paths.LITERATURE / row / "models" / "fold_0" / "model.json").read_text()
        )
        assert saved["model"] == make_params(params).literature.model_of(row).model_dump(
            mode="json"
        )
    assert saved["model"]["architecture"] == "gru_d"
    cnn = json.loads(
        (paths.LITERATURE / "tang_cnn_static" / "models" / "fold_0" / "model.json").read_text()
    )
    assert (cnn["channels"], cnn["statics"], cnn["model"]["conv"]) == (M + 4, 4, 64)


@pytest.mark.usefixtures("done")
def test_the_table_has_every_model_with_its_own_scores(params: Params) -> None:
    text = (paths.METRICS / "literature_table" / "table.md").read_text()
    lines = {
        line.split(" | ")[0].removeprefix("| "): line
        for line in text.splitlines()
        if line.startswith("| ")
    }
    own = "This pipeline's network: pooled_lstm-8 + FC-16, summaries-8, age, sex, icu_type"
    rows = {params.literature.rows[row].label: metrics(f"literature/{row}") for row in ROWS}
    trained = {
        name: {split: metrics("evaluate")[split][name] for split in ("folds", "test")}
        for name in metrics("evaluate")["folds"]
    }
    rows |= {
        own: trained["network"],
        "Gradient boosting on summaries": trained["gradient_boosting"],
    }
    assert set(lines) == {"model", "Logistic regression on summaries", *rows}
    for label, about in rows.items():
        mean, sd = about["folds"]["auroc"]["mean"], about["folds"]["auroc"]["sd"]
        error = about["folds"]["auroc"].get("standard_error")
        corrected = "" if error is None else f" ({error:.3f})"
        assert f"| {mean:.3f} ± {sd:.3f}{corrected} |" in lines[label]
        assert (
            f"{about['test']['auroc']['value']:.3f} (" if about["test"] else "| none | none |"
        ) in lines[label]
    gain = metrics("evaluate")["difference"]["gradient_boosting"]["test"]["auroc"]
    assert f"AUROC {gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})" in text
    warning = metrics("evaluate")["warning"]
    assert f"**Warning:** {warning}." in text
    figure = pd.read_csv(paths.METRICS / "literature_table" / "plots" / "literature.csv")
    assert figure["note"].eq(warning).all()
    leaks = figure[figure["kind"].str.startswith("LEAK")]
    assert set(leaks["model"]) == {params.literature.rows["prior_leaky"].label}
    assert figure["source"].eq(params.extract.label).all()


@pytest.mark.usefixtures("done")
def test_every_table_of_a_small_cohort_warns() -> None:
    """240 stays: an interval never stands without the sentence."""
    cohort = read_table(paths.COHORT, COHORT)
    stays, died = len(cohort), cohort["died"]
    sentence = cohort_warning(stays, int(died.sum()), int(died[cohort["is_test"]].sum()))
    assert sentence is not None
    for stage in ("evaluate", *(f"literature/{row}" for row in ROWS)):
        assert metrics(stage)["warning"] == sentence
    plots = [*(paths.METRICS / "evaluate" / "plots").glob("*.csv")]
    assert len(plots) == 5
    for file in [*plots, paths.METRICS / "train" / "plots" / "learning.csv"]:
        assert pd.read_csv(file)["note"].eq(sentence).all(), file
    inside = cohort[~cohort["is_test"]]
    told = cohort_warning(len(inside), int(inside["died"].sum()))
    assert metrics("learning_curve")["warning"] == told
    curve = pd.read_csv(paths.METRICS / "learning_curve" / "plots" / "learning_curve.csv")
    assert curve["note"].eq(told).all()
    subgroups = pd.read_csv(paths.METRICS / "evaluate" / "plots" / "subgroups.csv")
    deaths = subgroups[["deaths"]].assign(survivors=subgroups["stays"] - subgroups["deaths"])
    assert subgroups["few"].eq((deaths.min(axis=1) < 20).astype(int)).all()
    assert set(subgroups["few"]) == {0, 1}


@pytest.mark.usefixtures("done")
def test_figures_show_what_they_are_of() -> None:
    """Curves of log odds; calibrated probabilities in reliability, of all stays of each split."""
    cohort, found = read_table(paths.COHORT, COHORT), metrics("evaluate")
    names = {"network", "logistic regression", "gradient boosting"}
    folder = paths.METRICS / "evaluate" / "plots"
    reliability = pd.read_csv(folder / "reliability.csv")
    assert set(reliability["curve"]) == names
    stays = reliability.groupby(["curve", "split"])["stays"].sum().unstack()
    assert stays["test"].eq(cohort["is_test"].sum()).all()
    assert stays["out of fold"].eq((~cohort["is_test"]).sum()).all()
    assert (reliability["low"] <= reliability["observed"] + 1e-9).all()
    assert (reliability["observed"] <= reliability["high"] + 1e-9).all()
    weights = reliability["stays"] / reliability.groupby(["curve", "split"])["stays"].transform(
        "sum"
    )
    gap = weights * (reliability["observed"] - reliability["predicted"]).abs()
    for name in names:
        block = found["calibration"][name.replace(" ", "_")]["test"]["after"]
        chosen = (reliability["curve"] == name) & (reliability["split"] == "test")
        assert gap[chosen].sum() == pytest.approx(block["calibration_error"], abs=1e-6)
        assert block["calibration_error_if_perfect"] > 0
    chance = pd.read_csv(folder / "precision_recall.csv").groupby("split")["prevalence"].unique()
    assert chance["test"] == pytest.approx([cohort.loc[cohort["is_test"], "died"].mean()])
    roc = pd.read_csv(folder / "roc.csv")
    roc = roc[(roc["curve"] == "network") & (roc["split"] == "test")]
    area = np.trapezoid(roc["tpr"], roc["fpr"])
    assert area == pytest.approx(found["test"]["network"]["auroc"]["value"], abs=1e-6)


@pytest.mark.usefixtures("done")
def test_differences_are_those_of_the_scores() -> None:
    found = metrics("evaluate")
    assert set(found["difference"]) == {"logistic_regression", "gradient_boosting"}
    for other, gain in found["difference"].items():
        for score in ("auroc", "auprc"):
            on_test = (
                found["test"]["network"][score]["value"] - found["test"][other][score]["value"]
            )
            assert gain["test"][score]["value"] == pytest.approx(on_test, abs=2e-6)
            assert gain["test"][score]["low"] <= on_test <= gain["test"][score]["high"]
            folds = found["folds"]["network"][score]["mean"] - found["folds"][other][score]["mean"]
            assert gain["folds"][score]["mean"] == pytest.approx(folds, abs=2e-6)
            assert gain["folds"][score]["standard_error"] == pytest.approx(
                gain["folds"][score]["sd"] * np.sqrt(1 / 3 + 1 / 2), rel=1e-5
            )


@pytest.mark.usefixtures("done")
def test_a_fold_that_ranks_backwards_is_scored_by_its_log_odds_and_warned_of(
    params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folds 1 and 2 rank backwards, so fold 0's calibration has a negative slope. The fold's AUROC
    is still that of its log odds; calibrated probabilities of slope 0 gave 0.5."""
    table = read_table(paths.PREDICTIONS, PREDICTIONS)
    backwards = table["fold"].isin([1, 2])
    for name in ("logit_0", "logit_1"):
        table[name] = table[name].where(~backwards, -table[name])
    table["predicted"] = table["logit_1"] > table["logit_0"]
    write_table(paths.PREDICTIONS, table, PREDICTIONS)
    capsys.readouterr()
    evaluate.run(make_params(params))
    found = metrics("evaluate")
    each = [scored(table[table["fold"] == k])["auroc"] for k in range(3)]
    assert each[0] > 0.7
    assert each[1] < 0.3
    assert found["folds"]["network"]["auroc"]["mean"] == pytest.approx(np.mean(each))
    calibration = found["calibration"]["network"]
    assert "fold_0" in calibration["bounded"]
    assert calibration["slope"]["fold_0"] == SMALLEST_SLOPE
    assert found["calibration"]["gradient_boosting"]["bounded"] == []
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "network: " in line]
    assert line.startswith("warning: network: the log odds do not rank")
    assert "fold_0" in line


@pytest.mark.usefixtures("done")
def test_the_learning_curve_ends_at_the_whole() -> None:
    found, trained, cohort = (
        metrics("learning_curve")["folds"],
        metrics("evaluate")["folds"],
        read_table(paths.COHORT, COHORT),
    )
    assert set(found) == {"network", "logistic_regression", "gradient_boosting"}
    for name, curve in found.items():
        assert set(curve) == {"0.25", "0.5", "1.0"}
        for score in ("auroc", "auprc"):
            assert curve["1.0"][score] == trained[name][score]["mean"]
            assert len({values[score] for values in curve.values()}) == 3
    table = pd.read_csv(paths.METRICS / "learning_curve" / "plots" / "learning_curve.csv")
    stays = table.groupby("share")["stays"].unique().explode()
    training = (cohort["fold"] >= 0).sum()
    assert stays.to_dict() == {
        share: pytest.approx(share * training * 2 / 3, abs=1) for share in (0.25, 0.5, 1.0)
    }  # two of three folds
    np.testing.assert_allclose(
        table["high"] - table["mean"], table["mean"] - table["low"], atol=2e-6
    )


@pytest.mark.usefixtures("done")
def test_a_share_is_scored_on_all_held_out_stays_of_its_fold() -> None:
    """Gradient boosting, trained on half of the subjects outside the fold with the settings that
    all training stays chose: the scores of scikit-learn itself."""
    settings = metrics("evaluate")["baselines"]["gradient_boosting"]
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    inside = (cohort["fold"] >= 0).to_numpy()
    cohort, x = cohort[inside], summaries(np.asarray(grid)[inside])
    died, fold = cohort["died"].to_numpy(), cohort["fold"].to_numpy()
    learn = some_subjects(cohort["subject_id"].to_numpy(), 0.5, seed=20240807)
    scores = []
    for k in range(3):
        chosen = learn & (fold != k)
        both = np.c_[x, fit_statics(cohort[chosen], ("age", "sex", "icu_type")).apply(cohort)]
        model = HistGradientBoostingClassifier(
            early_stopping=False, random_state=20240807, **settings
        ).fit(both[chosen], died[chosen])
        scores.append(roc_auc_score(died[fold == k], model.predict_proba(both[fold == k])[:, 1]))
    assert metrics("learning_curve")["folds"]["gradient_boosting"]["0.5"]["auroc"] == pytest.approx(
        np.mean(scores)
    )


@pytest.mark.usefixtures("done")
def test_the_test_set_has_no_part_in_the_learning_curve(params: Params) -> None:
    before = (paths.METRICS / "learning_curve" / "metrics.json").read_bytes()
    cohort, grid = make_cohort()
    test = cohort["is_test"].to_numpy()
    grid[test] = 1e6
    lay(cohort.assign(died=cohort["died"] ^ test), grid)
    learning_curve.run(make_params(params))
    assert (paths.METRICS / "learning_curve" / "metrics.json").read_bytes() == before


@pytest.mark.usefixtures("done")
def test_the_test_set_has_no_part_in_what_is_fitted(params: Params) -> None:
    """Weights, scalers and thresholds are the same bytes whatever the test stays hold."""
    before = {file: file.read_bytes() for file in paths.MODELS.rglob("*.*")}
    assert len(before) == 9
    cohort, grid = make_cohort()
    test = cohort["is_test"].to_numpy()
    grid[test] = 1e9
    absurd = cohort.assign(
        died=cohort["died"] ^ test,
        age=cohort["age"].where(~test, 1e6),
        icu_type=cohort["icu_type"].where(~test, "nowhere"),
    )
    lay(absurd.astype({"age": "float32"}), grid)
    shutil.copytree(paths.MODELS / "fold_0", paths.MODELS / "fold_9")  # of a split into more folds
    train.run(make_params(params))
    assert {file: file.read_bytes() for file in paths.MODELS.rglob("*.*")} == before


@pytest.mark.usefixtures("_empty_folder")
def test_permuted_labels_score_auroc_one_half(params: Params) -> None:
    """Scoring on training or resampled data, and any other leak, would show here. Network and baselines, out of fold and on the test set."""
    chosen = small(
        params,
        tune_model={"trials": 0},
        train={"epochs": 16, "patience": None},
        evaluate={"bootstrap": 100},
    )
    aurocs: dict[tuple[str, str], list[float]] = {}
    for seed in range(4):
        cohort, grid = make_cohort(seed, stays=600)
        lay(cohort.assign(died=np.random.default_rng(seed).permutation(cohort["died"])), grid)
        tune_model.run(chosen)
        train.run(chosen)
        evaluate.run(chosen)
        found = metrics("evaluate")
        for name in found["folds"]:
            aurocs.setdefault(("folds", name), []).append(found["folds"][name]["auroc"]["mean"])
            on_test = found["test"][name]["auroc"]
            aurocs.setdefault(("test", name), []).append(on_test["value"])
            assert on_test["high"] - on_test["low"] > 0.1  # not "0.500 (0.500–0.500)"
    assert len(aurocs) == 6
    for name, values in aurocs.items():
        assert abs(np.mean(values) - 0.5) < 0.08, (name, values)


@pytest.mark.usefixtures("done")
def test_compare_goes_on_after_a_kill_to_the_same_bytes(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        paths.LITERATURE / "sun" / "models" / "fold_2" / "model.safetensors",
        paths.METRICS / "literature" / "sun" / "metrics.json",
    ]
    before = [file.read_bytes() for file in files]
    shutil.rmtree(paths.LITERATURE / "sun")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(literature, "save_folds", killed)
        with pytest.raises(KeyboardInterrupt):
            literature.run(make_params(params), "sun")
    assert len(list(Path(".state/literature").rglob("fold_*.safetensors"))) == 3
    literature.run(make_params(params), "sun")
    assert [file.read_bytes() for file in files] == before
    assert not list(Path(".state/literature").iterdir())


@pytest.mark.usefixtures("done")
def test_a_share_without_deaths_is_told_in_one_line(params: Params) -> None:
    with pytest.raises(
        InputError,
        match=r"learning_curve\.shares: 0\.01 of the subjects leaves a fold with one outcome only",
    ) as error:
        learning_curve.run(make_params(params, learning_curve={"shares": (0.5, 0.01)}))
    assert "\n" not in str(error.value)
