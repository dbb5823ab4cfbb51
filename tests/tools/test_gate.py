import itertools
import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gate_world import FOLDS, OBJECTIVE, N, run
from sklearn.metrics import brier_score_loss, roc_auc_score

from icu_adversarial.config.gate import Gate
from icu_adversarial.config.params import Params
from icu_adversarial.core.errors import InputError
from icu_adversarial.tools.gate import (
    LARGER,
    NOT_WORSE,
    OPEN,
    SMALLER,
    WORSE,
    Measure,
    Row,
    _compared,
    compare,
)
from icu_adversarial.tools.gate_table import lines
from icu_adversarial.tools.revisions import Revision, read_revision

RUNS, RESAMPLES, SEED = 10, 200, 0


@pytest.fixture(scope="module")
def reseeded() -> list[Revision]:
    """Runs that differ in nothing but the seed of the training."""
    return [run(seed) for seed in range(RUNS)]


@pytest.fixture(scope="module")
def judge(params: Params) -> partial[list[Row]]:
    """Compares two runs with the margins of params.yaml."""
    return partial(compare, margins=params.gate, resamples=RESAMPLES, seed=SEED)


def worse(rows: list[Row]) -> set[str]:
    return {row.measure.margin for row in rows if row.verdict == WORSE}


def changed(old: Revision, column: str, values: pd.Series | np.ndarray) -> Revision:
    """The run with another column of the best examples."""
    examples = old.attacks[OBJECTIVE].assign(**{column: values})
    return old._replace(name="changed", attacks={OBJECTIVE: examples})


def test_forty_reseeded_pairs_raise_at_most_two_alarms(
    reseeded: list[Revision], judge: partial[list[Row]]
) -> None:
    pairs = list(itertools.combinations(reseeded, 2))[:40]
    assert len(pairs) == 40
    alarms = [(old.name, new.name) for old, new in pairs if worse(judge(old, new))]
    assert len(alarms) <= 0.05 * len(pairs), alarms


def test_networks_that_learned_from_wrong_labels_are_found(
    reseeded: list[Revision], judge: partial[list[Row]]
) -> None:
    assert worse(judge(reseeded[0], run(50, wrong_labels=0.8))) >= {"auroc"}


def test_networks_that_read_one_hour_are_found_to_be_less_robust(
    reseeded: list[Revision], judge: partial[list[Row]]
) -> None:
    found = judge(reseeded[0], run(51, hours=1))
    assert worse(found) >= {"auroc", "changed_cells", "l1"}
    assert not worse(judge(run(51, hours=1), reseeded[0])) & {"auroc", "changed_cells", "l1"}


def test_probabilities_that_are_too_high_are_found_though_the_ranks_are_the_same(
    reseeded: list[Revision], judge: partial[list[Row]]
) -> None:
    old = reseeded[0]
    higher = 0.7 * old.stays["probability"] + 0.3
    new = old._replace(stays=old.stays.assign(probability=higher))
    assert worse(judge(old, new)) == {"brier"}


def test_more_flips_are_found(reseeded: list[Revision], judge: partial[list[Row]]) -> None:
    new = reseeded[0]
    held = np.arange(len(new.attacks[OBJECTIVE])) % 5 > 0
    assert worse(judge(changed(new, "success", held), new)) == {"flipped"}
    assert not worse(judge(new, changed(new, "success", held)))


def test_a_run_is_not_worse_than_itself(
    reseeded: list[Revision], judge: partial[list[Row]], params: Params
) -> None:
    strict = Gate(**dict.fromkeys(Gate.model_fields, 0.0))
    for rows in (judge(reseeded[0], reseeded[0]), compare(reseeded[0], reseeded[0], strict, 20, 0)):
        assert {row.verdict for row in rows} == {NOT_WORSE}
        assert {(row.difference, row.half) for row in rows} == {(0.0, 0.0)}
        assert [row.measure.margin for row in rows] == list(Gate.model_fields)


def test_values_are_those_of_independent_definitions(
    reseeded: list[Revision], judge: partial[list[Row]]
) -> None:
    old, new = reseeded[:2]
    rows = {row.measure.margin: row for row in judge(old, new)}
    for end, revision in (("old", old), ("new", new)):
        stays = revision.stays.assign(z=lambda s: s["logit_1"] - s["logit_0"])
        each = [roc_auc_score(part["died"], part["z"]) for _, part in stays.groupby("fold")]
        assert getattr(rows["auroc"], end) == pytest.approx(np.mean(each))
        brier = brier_score_loss(stays["died"], stays["probability"])
        assert getattr(rows["brier"], end) == pytest.approx(brier)
        both = old.attacks[OBJECTIVE].join(
            new.attacks[OBJECTIVE], how="inner", suffixes=("_old", "_new")
        )
        assert len(both) == len(rows["flipped"].measure.fold)
        flips = both.groupby("direction_old")[f"success_{end}"].mean()
        assert len(flips) == 2
        assert getattr(rows["flipped"], end) == pytest.approx(flips.mean())
        sized = both[both["success_old"] & both["success_new"]]
        means = sized.groupby("direction_old")[f"l0_{end}"].mean()
        assert getattr(rows["changed_cells"], end) == pytest.approx(np.sqrt(means.prod()))
    assert rows["l1"].difference == pytest.approx(np.log(rows["l1"].new / rows["l1"].old))


def of_means(rng: np.random.Generator, loss: float, training: float, better: int) -> Measure:
    """Values of 200 stays. Their true mean gets worse by `loss`, and by chance more or less in each
    of five folds."""
    fold = np.arange(200) % FOLDS
    by_fold = rng.normal(0, training, FOLDS)[fold]
    old = rng.normal(size=200)
    new = old - better * loss + by_fold + rng.normal(0, 0.2, 200)

    def values(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return tuple(weight @ column / weight.sum(1) for column in (old, new))

    return Measure("mean", "", "", better, False, values, np.arange(200), fold)


@pytest.mark.parametrize("better", [LARGER, SMALLER])
@pytest.mark.parametrize("training", [0.0, 0.1])
def test_a_loss_as_large_as_the_margin_raises_few_alarms_and_a_large_one_many(
    better: int, training: float
) -> None:
    """Whether or not the folds differ by the chance of their training."""
    rng = np.random.default_rng(1)
    share = {
        loss: np.mean(
            [
                _compared(of_means(rng, loss, training, better), 0.3, 100, 0).verdict == WORSE
                for _ in range(150)
            ]
        )
        for loss in (0.3, 0.6)
    }
    assert share[0.3] <= 0.06
    assert share[0.6] >= 0.8


def test_too_few_stays_are_neither_worse_nor_not_worse() -> None:
    rng = np.random.default_rng(1)
    found = _compared(of_means(rng, 0.3, 0.1, LARGER), 0.3, 100, 0)
    assert found.verdict == OPEN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r._replace(stays=r.stays[10:]), r"different stays \(600 and 590, 590 in both\)"),
        (
            lambda r: r._replace(stays=r.stays.assign(died=~r.stays["died"])),
            "differ in died of 600",
        ),
        (lambda r: r._replace(stays=r.stays.assign(fold=0)), "differ in fold of 480 of 600 stays"),
        (
            lambda r: r._replace(attacks={"robust_l1": r.attacks[OBJECTIVE]}),
            "no objective in common",
        ),
    ],
)
def test_runs_that_cannot_be_paired_are_refused(
    reseeded: list[Revision], judge: partial[list[Row]], change: partial[Revision], message: str
) -> None:
    with pytest.raises(InputError, match=message) as found:
        judge(reseeded[0], change(reseeded[0]))
    assert "\n" not in str(found.value)


def test_the_order_of_the_stays_does_not_matter(
    reseeded: list[Revision], judge: partial[list[Row]]
) -> None:
    old, new = reseeded[:2]
    mixed = new._replace(
        stays=new.stays.sample(frac=1, random_state=0),
        attacks={OBJECTIVE: new.attacks[OBJECTIVE].sample(frac=1, random_state=0)},
    )
    for one, other in zip(judge(old, new), judge(old, mixed), strict=True):
        assert one[1:] == pytest.approx(other[1:])


def test_the_table_shows_each_row_and_what_it_cannot_tell(
    reseeded: list[Revision], judge: partial[list[Row]]
) -> None:
    old, new = reseeded[0], reseeded[1]._replace(settings={"attack.iterations": 10})
    table = list(lines(old, new, judge(old, new)))
    assert max(map(len, table)) <= 120
    assert table[0] == "old: run 0, new: run 1"
    assert table[1].split()[:3] == ["old", "new", "stays"]
    names = ["AUROC", "Brier score", "flipped", "changed cells", "L1"]
    for name in names:
        (line,) = [text for text in table if text.startswith(f"  {name} ")]
        assert re.search(r" \S+ \(\S+ to \S+\)", line)
    assert any("attack.iterations 20 → 10" in line for line in table)
    assert table[-1] == "Result: run 1 is worse in 0 of 5 rows by more than is allowed."
    one = changed(old, "fold", np.int8(-1))
    assert any("one model was attacked" in line for line in lines(one, one, judge(one, one)))
    none = changed(old, "success", False)
    empty = [line for line in lines(old, none, judge(old, none)) if "  L1 " in line]
    assert re.search(r"– +– +0 .*open$", empty[0])
    assert len(old.stays) == N


def test_a_missing_output_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"workspace: params\.yaml is missing: run `dvc repro`"):
        read_revision("workspace")
    Path("params.yaml").write_text("attack: {}\ntune_attack: {}\nobjectives: [robust_l0]\n")
    with pytest.raises(InputError, match=r"workspace: data/preprocess/stays\.parquet is missing"):
        read_revision("workspace")
    for file in ("data/preprocess/stays.parquet", "data/train/predictions.parquet"):
        Path(file).parent.mkdir(parents=True)
        Path(file).write_text("no table")
    with pytest.raises(InputError, match=r"stays\.parquet is not Parquet with the columns"):
        read_revision("workspace")
    Path("params.yaml").write_text("objectives: 3")
    with pytest.raises(InputError, match="names no objectives"):
        read_revision("workspace")
