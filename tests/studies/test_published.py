"""The table of all models and its figure, of three models with numbers by hand."""

import pytest

from icu_adversarial.config.literature import Published
from icu_adversarial.studies.published import (
    HELD_OUT,
    LEAK,
    PUBLISHED,
    SCORES,
    Entry,
    as_figure,
    as_markdown,
)

SOURCE = "synthetic hospital (not real patients)"
FOLDS = {
    score: {"mean": 0.5 + i / 10, "sd": i / 100, "standard_error": i / 50}
    for i, score in enumerate(SCORES)
}
ERRORS = {
    "calibration_error": {"value": 0.05, "low": 0.04, "high": 0.08},
    "calibration_error_if_perfect": {"value": 0.02, "low": 0.01, "high": 0.03},
}
TEST = {score: {"value": 0.8, "low": 0.75, "high": 0.85} for score in SCORES} | ERRORS
GAINS = {
    "Gradient boosting": {
        "test": {score: {"value": 0.02, "low": -0.01, "high": 0.05} for score in SCORES},
        "folds": {score: {"mean": 0.03, "standard_error": 0.015} for score in SCORES},
    }
}
THEIRS = Published(data="MIMIC-III", auroc=(0.9094, 0.0053), recall=(0.8071, 0.0269))
HELD = Entry("a network of the literature", FOLDS, TEST, THEIRS, "another split")
LEAKY = Entry(
    "a leaky one",
    {score: {"mean": 0.5 + i / 10, "sd": i / 100} for i, score in enumerate(SCORES)}
    | {"precision": {"mean": None, "sd": None}},
    None,
    THEIRS,
    "LEAK",
)
OURS = Entry(
    "ours",
    FOLDS,
    TEST | {"auprc": {"value": None, "low": None, "high": None}},
    None,
    "never published",
)


def rows(text: str) -> dict[str, dict[str, str]]:
    """The cells of the table by model and column."""
    head, _, *lines = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return {line[0]: dict(zip(head, line, strict=True)) for line in lines}


def test_every_model_is_a_line_with_its_scores_and_what_differs() -> None:
    text = as_markdown([HELD, LEAKY, OURS], SOURCE, {}, None)
    assert text.startswith(f"# Models compared: {SOURCE}")
    table = rows(text)
    assert list(table) == ["a network of the literature", "a leaky one", "ours"]
    first = table["a network of the literature"]
    assert (first["AUROC, folds"], first["F1, folds"], first["Recall, folds"]) == (
        "0.500 ± 0.000 (0.000)",
        "0.700 ± 0.020 (0.040)",
        "1.000 ± 0.050 (0.100)",
    )
    assert table["a leaky one"]["F1, folds"] == "0.700 ± 0.020"
    assert first["Challenge score, folds"] == "0.800 ± 0.030 (0.060)"
    assert "Challenge score, published" not in first
    assert first["AUROC, test"] == "0.800 (0.750–0.850)"
    assert (first["Calibration error, test"], first["Calibration error if perfect"]) == (
        "0.050 (0.040–0.080)",
        "0.020 (0.010–0.030)",
    )
    assert (first["AUROC, published"], first["Recall, published"], first["F1, published"]) == (
        "0.909 (0.005)",
        "0.807 (0.027)",
        "",
    )
    assert first["what differs"] == f"data: {SOURCE}, theirs MIMIC-III; another split"


def test_what_is_not_held_out_or_not_defined_has_no_number() -> None:
    table = rows(as_markdown([LEAKY, OURS], SOURCE, {}, None))
    assert (table["a leaky one"]["AUROC, test"], table["a leaky one"]["Precision, folds"]) == (
        "none",
        "",
    )
    assert (table["ours"]["AUROC, test"], table["ours"]["AUPRC, test"]) == (
        "0.800 (0.750–0.850)",
        "",
    )
    assert table["ours"]["what differs"] == "never published"


def test_numbers_from_the_same_data_do_not_say_that_the_data_differ() -> None:
    assert (
        rows(as_markdown([HELD], "MIMIC-III", {}, None))["a network of the literature"][
            "what differs"
        ]
        == "another split"
    )


def test_the_figure_tells_held_out_leaky_and_published_scores_apart() -> None:
    figure = as_figure([HELD, LEAKY, OURS], SOURCE)
    found = figure.set_index(["model", "score", "kind"])
    assert figure["source"].eq(SOURCE).all()
    assert found.loc[
        ("a network of the literature", "AUROC", HELD_OUT), ["value", "low", "high"]
    ].tolist() == [0.8, 0.75, 0.85]
    assert found.loc[
        ("a leaky one", "AUPRC", LEAK), ["value", "low", "high"]
    ].tolist() == pytest.approx([0.6, 0.59, 0.61])
    published = found.xs(PUBLISHED, level="kind")
    assert published.index.tolist() == [
        ("a network of the literature", "AUROC"),
        ("a leaky one", "AUROC"),
    ]
    assert published["low"].tolist() == pytest.approx([0.9041, 0.9041])
    assert set(figure.loc[figure["model"] == "a leaky one", "kind"]) == {
        LEAK,
        PUBLISHED,
    }  # nothing of it counts as held out


def test_a_small_cohort_is_warned_of_before_its_numbers() -> None:
    text = as_markdown([HELD], SOURCE, {}, "The cohort has 2 deaths")
    assert "**Warning:** The cohort has 2 deaths.\n" in text.split("| model |")[0]
    assert "Warning" not in as_markdown([HELD], SOURCE, {}, None)


def test_paired_differences_stand_below_the_table() -> None:
    last = as_markdown([HELD], SOURCE, GAINS, None).splitlines()[-1]
    assert last == (
        "This pipeline's network minus Gradient boosting, on the same stays: AUROC +0.020 (-0.010 "
        "to +0.050) on the test set, +0.030 (standard error 0.015) over the folds; AUPRC +0.020 "
        "(-0.010 to +0.050) on the test set, +0.030 (standard error 0.015) over the folds."
    )
