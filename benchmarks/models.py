"""How good the network is: beside gradient boosting and logistic regression on the same inputs, and what each part of it is worth.

python benchmarks/models.py CHALLENGE_FOLDER                # set A → set B, B → A, and five folds of both
python benchmarks/models.py CHALLENGE_FOLDER --ablations    # `model` of params.yaml with one thing changed, A → B and B → A

Real patients of PhysioNet Challenge 2012. Every model is trained on the training stays of a split and scored once on the others, on which
nothing is chosen here. The network is the mean of the log odds of --members trainings that differ in their seed; one alone is shown too.
With --ablations, each training is scored for itself.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # as src/run.py does, before torch is imported
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import pandas as pd
from attack_victims import workplace
from joblib import delayed

from icu_adversarial import paths
from icu_adversarial.features.splits import assign_folds
from icu_adversarial.files import read_array
from icu_adversarial.model import baselines
from icu_adversarial.model.evaluation import rank_scores
from icu_adversarial.model.networks import build
from icu_adversarial.model.training import advance, log_odds, make_fold, seed_of, start
from icu_adversarial.params import Features, Model, Params
from icu_adversarial.processes import workers
from icu_adversarial.tables import COHORT, read_table

FOLDS, SEED, RESAMPLES = 5, 20240807, 1000
LABELS = {
    "network": "network",
    "one": "one network alone",
    "gradient_boosting": "gradient boosting",
    "logistic_regression": "logistic regression",
}
ABLATIONS: dict[str, dict[str, Any]] = {
    "the literature's BiLSTM with this recipe": {"architecture": "lstm"},
    "GRU-D with this recipe": {"architecture": "gru_d"},
    "no network of summaries": {"n_summary": 0},
    "no static inputs": {"static_inputs": ()},
    "no hours since observed": {"extra_channels": ("observed",)},
    "values alone, no summaries": {"extra_channels": (), "n_summary": 0},
    "convolution with 64 filters": {"conv": 64},
    "128 hidden units": {"n_lstm": 128},
    "a fully connected layer of 32 units": {"n_fc": 32},
    "no dropout": {"dropout": 0.0},
    "no measurement hidden": {"measurement_dropout": 0.0},
    "batches of 128": {"batch_size": 128},
    "balanced batches": {"sampling": "balanced"},
    "constant learning rate, last weights": {"schedule": "constant"},
    "no weight decay": {"weight_decay": 0.0},
    "no limit to the gradient": {"max_gradient": None},
}
OTHER_FEATURES: dict[str, dict[str, Any]] = {
    "the earlier value between observed hours": {"interpolation": "previous"},
    "values winsorised at 5 %": {"lower_percentile": 5.0, "upper_percentile": 95.0},
}


class Split(NamedTuple):
    """train, test: bool (N,)."""

    name: str
    train: np.ndarray
    test: np.ndarray


def splits(cohort: pd.DataFrame) -> list[Split]:
    first = (cohort["source_group"] == "set-a").to_numpy()
    fold = assign_folds(
        cohort["subject_id"].to_numpy(), cohort["died"].to_numpy(), folds=FOLDS, seed=SEED
    )
    return [
        Split("A → B", first, ~first),
        Split("B → A", ~first, first),
        *(Split("folds of A + B", fold != k, fold == k) for k in range(FOLDS)),
    ]


def network(
    grid: np.ndarray,
    cohort: pd.DataFrame,
    split: Split,
    features: Features,
    model: Model,
    epochs: int,
    seed: int,
) -> np.ndarray:
    """Log odds of the test stays."""
    fold, _ = make_fold(grid, cohort, split.test, features, model, split.train)
    settings = model.model_dump()
    state = start(fold, settings, seed_of(SEED, seed))
    trained = advance(state, fold, settings, epochs=epochs, of=epochs, seed=seed_of(SEED, seed))
    result = build(fold.channels, fold.statics, settings)
    result.load_state_dict(trained.weights)
    return log_odds(result, fold.x_held_out) + fold.prior_shift(settings)


def baseline(
    name: str, grid: np.ndarray, cohort: pd.DataFrame, split: Split, static_inputs: Iterable[str]
) -> np.ndarray:
    """Probability of the test stays."""
    x = baselines.with_statics(baselines.summaries(grid), cohort, split.train, tuple(static_inputs))
    return baselines.fitted(name, x, cohort["died"].to_numpy(), split.train, SEED)[split.test]


def beside_baselines(params: Params, cohort: pd.DataFrame, grid: np.ndarray, members: int) -> None:
    every = splits(cohort)
    jobs = [(split, seed) for split in every for seed in range(members)]
    z = workers()(
        delayed(network)(
            grid, cohort, split, params.features, params.model, params.train.epochs, seed
        )
        for split, seed in jobs
    )
    others = [(split, name) for split in every for name in baselines.BASELINES]
    p = workers()(
        delayed(baseline)(name, grid, cohort, split, params.model.static_inputs)
        for split, name in others
    )
    print(f"{'':16} {'':22} {'AUROC':>8} {'AUPRC':>8}")
    means: dict[str, list[np.ndarray]] = {name: [] for name in LABELS}
    for protocol in dict.fromkeys(split.name for split in every):
        predictions: dict[str, list[np.ndarray]] = {name: [] for name in LABELS}
        died = []
        for split in (s for s in every if s.name == protocol):
            own = [np.asarray(values) for (s, _), values in zip(jobs, z, strict=True) if s is split]
            predictions["network"].append(np.mean(own, axis=0))
            predictions["one"].append(own[0])
            for (s, name), values in zip(others, p, strict=True):
                if s is split:
                    predictions[name].append(values)
            died.append(cohort["died"].to_numpy()[split.test])
        scored = {
            name: np.array([rank_scores(y, v) for y, v in zip(died, values, strict=True)])
            for name, values in predictions.items()
        }
        for name, values in scored.items():
            means[name].append(values.mean(0))
            print(
                f"{protocol:16} {LABELS[name]:22} {values.mean(0)[0]:8.4f} {values.mean(0)[1]:8.4f}"
            )
        for name in ("network", "one"):
            difference = scored[name] - scored["gradient_boosting"]
            error = (
                paired_error(died, predictions[name], predictions["gradient_boosting"])
                if len(died) == 1
                else error_of_mean(difference)
            )
            for value, sd, score in zip(difference.mean(0), error, ("AUROC", "AUPRC"), strict=True):
                print(
                    f"{'':16} {LABELS[name]} - gradient boosting, {score}: {value:+.4f}, standard error {sd:.4f}: {'yes' if value >= sd else 'NO'}"
                )
    for name, of_protocols in means.items():
        auroc, auprc = np.mean(of_protocols, axis=0)
        print(f"{'mean':16} {LABELS[name]:22} {auroc:8.4f} {auprc:8.4f}")


def error_of_mean(difference: np.ndarray) -> np.ndarray:
    """(2,), of the mean over the rows of (n, 2)."""
    return difference.std(0, ddof=1) / np.sqrt(len(difference))


def paired_error(died: list[np.ndarray], a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    """(2,): standard deviation of the difference over draws of the stays (one stay a subject here), with replacement."""
    rng, (y,), (p,), (q,) = np.random.default_rng(SEED), died, a, b
    drawn = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(y), len(y))
        drawn.append(np.subtract(rank_scores(y[rows], p[rows]), rank_scores(y[rows], q[rows])))
    return np.std(drawn, axis=0, ddof=1)


def ablations(params: Params, cohort: pd.DataFrame, grid: np.ndarray, members: int) -> None:
    variants = {"the network": (params.features, params.model)}
    variants |= {
        name: (params.features, params.model.model_copy(update=changes))
        for name, changes in ABLATIONS.items()
    }
    variants |= {
        name: (params.features.model_copy(update=changes), params.model)
        for name, changes in OTHER_FEATURES.items()
    }
    jobs = [
        (name, split, seed)
        for name in variants
        for split in splits(cohort)[:2]
        for seed in range(members)
    ]
    z = workers()(
        delayed(network)(grid, cohort, split, *variants[name], params.train.epochs, seed)
        for name, split, seed in jobs
    )
    died = cohort["died"].to_numpy()
    scored = {
        name: np.array(
            [
                rank_scores(died[s.test], v)
                for (n, s, _), v in zip(jobs, z, strict=True)
                if n == name
            ]
        )
        for name in variants
    }
    print(
        f"mean of {2 * members} trainings each (A → B and B → A); difference to the network ± standard error over the pairs"
    )
    print("| | AUROC | AUPRC | Δ AUROC | Δ AUPRC |\n|---|---|---|---|---|")
    for name, values in scored.items():
        difference = values - scored["the network"]
        (d, e), (error, other) = difference.mean(0), error_of_mean(difference)
        change = (
            "|  |  |"
            if name == "the network"
            else f"| {d:+.4f} ± {error:.4f} | {e:+.4f} ± {other:.4f} |"
        )
        print(f"| {name} | {values.mean(0)[0]:.4f} | {values.mean(0)[1]:.4f} {change}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "raw", type=Path, help="folder with set-a.tar.gz, set-b.tar.gz and their Outcomes"
    )
    parser.add_argument(
        "--work", type=Path, help="where the records are prepared; a temporary folder by default"
    )
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--ablations", action="store_true")
    arguments = parser.parse_args()
    with workplace(arguments.raw, arguments.work) as params:
        cohort, grid = read_table(paths.COHORT, COHORT), np.asarray(read_array(paths.GRID))
        (ablations if arguments.ablations else beside_baselines)(
            params, cohort, grid, arguments.members
        )


if __name__ == "__main__":
    main()
