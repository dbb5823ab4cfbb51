"""The network compared with gradient boosting and logistic regression, and the value of its parts.

python benchmarks/models.py CHALLENGE_FOLDER                     # all three models
python benchmarks/models.py CHALLENGE_FOLDER --models boosting   # one of them, no differences
python benchmarks/models.py CHALLENGE_FOLDER --ablations         # changes of one setting of `model`
python benchmarks/models.py CHALLENGE_FOLDER --settings          # `baselines` of params.yaml
python benchmarks/models.py CHALLENGE_FOLDER --directions --measurements extended --static-inputs \
    age sex icu_type weight height                               # other inputs than in params.yaml

The patients are those of PhysioNet Challenge 2012: set A → set B, set B → set A, and five folds of
both sets. Every model is trained on the training stays of a split and scored on the others, which
choose nothing here. The baselines are tuned by cross-validation within the training stays of each
split, with --trials settings. Each model is trained with --members seeds. Two scores are reported:
the mean over the seeds of each model's score, and the score of the average of all seeds' models in
log odds. The official score of the Challenge needs a decision. Its threshold has the best score on
the training stays of a split, out of fold: each of five parts of them is predicted by a model of
the other four, with the first seed. --settings searches only within set A. `model` and `baselines` of params.yaml, where the
search starts, were chosen within set A. The script prints Markdown tables.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # as src/run.py does, before torch is imported
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import pandas as pd
from attack_victims import workplace
from joblib import delayed
from model_tables import (
    Limits,
    Predictions,
    Protocol,
    ablation_rows,
    commit,
    difference_rows,
    score_rows,
)

from icu_adversarial.config.features import Features
from icu_adversarial.config.model import Model
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array
from icu_adversarial.core.parallel import workers
from icu_adversarial.core.schemas import COHORT, read_table
from icu_adversarial.evaluate import baselines
from icu_adversarial.evaluate.baseline_inputs import summaries, with_statics
from icu_adversarial.features.splits import assign_folds
from icu_adversarial.model.fold_data import make_fold
from icu_adversarial.model.networks.registry import build
from icu_adversarial.model.scores import challenge_threshold
from icu_adversarial.model.training import advance, log_odds, seed_of, start

FOLDS, SEED = 5, 20240807
MODELS = {
    "network": "network",
    "boosting": "gradient_boosting",
    "logistic": "logistic_regression",
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
    """One division of the stays.

    train, test: bool (N,).
    """

    name: str
    train: np.ndarray
    test: np.ndarray


def splits(cohort: pd.DataFrame) -> list[Split]:
    """The two directions, then the folds of both sets."""
    first = (cohort["source_group"] == "set-a").to_numpy()
    fold = assign_folds(
        cohort["subject_id"].to_numpy(), cohort["died"].to_numpy(), folds=FOLDS, seed=SEED
    )
    return [
        Split("A → B", first, ~first),
        Split("B → A", ~first, first),
        *(Split("folds of A + B", fold != k, fold == k) for k in range(FOLDS)),
    ]


def parts_of(split: Split, cohort: pd.DataFrame) -> list[Split]:
    """Five folds of the training stays of a split."""
    own = cohort[split.train]
    fold = np.full(len(cohort), -1)
    fold[split.train] = assign_folds(
        own["subject_id"].to_numpy(), own["died"].to_numpy(), folds=FOLDS, seed=SEED
    )
    names = [f"{split.name}, part {k}" for k in range(FOLDS)]
    return [Split(n, (fold >= 0) & (fold != k), fold == k) for k, n in enumerate(names)]


def limit_of(parts: list[Split], cohort: pd.DataFrame, z: list[np.ndarray]) -> float:
    """The threshold with the best score of the Challenge.

    z: The log odds of the test stays of each part.
    """
    died = np.concatenate([cohort["died"].to_numpy()[part.test] for part in parts])
    return challenge_threshold(died, np.concatenate(z))


def network(
    grid: np.ndarray,
    names: tuple[str, ...],
    cohort: pd.DataFrame,
    split: Split,
    features: Features,
    model: Model,
    epochs: int,
    seed: int,
) -> np.ndarray:
    """The log odds of the test stays."""
    fold, _ = make_fold(grid, names, cohort, split.test, features, model, split.train)
    state = start(fold, model, seed_of(SEED, seed))
    trained = advance(state, fold, model, epochs=epochs, of=epochs, seed=seed_of(SEED, seed))
    result = build(fold.channels, fold.statics, model)
    result.load_state_dict(trained.weights)
    return log_odds(result, fold.x_held_out) + fold.prior_shift(model)


def baseline(
    name: str, params: Params, cohort: pd.DataFrame, grid: np.ndarray, split: Split, members: int
) -> tuple[list[np.ndarray], float]:
    """The log odds of the test stays by the model of each seed, and the threshold.

    Both the settings and the threshold are chosen on the training stays. The training of logistic
    regression has no random part, so every seed has the same model.
    """
    settings = found(name, params, cohort[split.train], grid[split.train])
    print(f"{split.name}, {name}: {settings}", file=sys.stderr, flush=True)
    found_by, died, parts = summaries(grid), cohort["died"].to_numpy(), parts_of(split, cohort)
    seeds = 1 if name == "logistic_regression" else members
    jobs = [(split, seed) for seed in range(seeds)] + [(part, 0) for part in parts]
    inputs = {
        one.name: with_statics(found_by, cohort, one.train, params.model.static_inputs)
        for one in (split, *parts)
    }
    z = workers()(
        delayed(baselines.fitted)(name, settings, inputs[one.name], died, one.train, seed)
        for one, seed in jobs
    )
    z = [values[one.test] for values, (one, _) in zip(z, jobs, strict=True)]
    return z[:seeds] * (members // seeds), limit_of(parts, cohort, z[seeds:])


def found(name: str, params: Params, stays: pd.DataFrame, grid: np.ndarray) -> dict[str, Any]:
    """The settings of a baseline that cross-validation within these stays chooses."""
    return baselines.search(
        name, grid, stays, params.model.static_inputs, params.baselines, params.tune_model, SEED
    )


def networks(
    variants: dict[str, tuple[Features, Model]],
    params: Params,
    cohort: pd.DataFrame,
    grid: np.ndarray,
    chosen: list[Split],
    members: int,
) -> Predictions:
    """Train each variant with each seed on each split."""
    jobs = [(n, s, seed) for n in variants for s in chosen for seed in range(members)]
    z = iter(
        workers()(
            delayed(network)(
                grid, params.columns, cohort, split, *variants[name], params.train.epochs, seed
            )
            for name, split, seed in jobs
        )
    )
    return {n: [[next(z) for _ in range(members)] for _ in chosen] for n in variants}


def limits_of(
    variants: dict[str, tuple[Features, Model]],
    params: Params,
    cohort: pd.DataFrame,
    grid: np.ndarray,
    chosen: list[Split],
) -> Limits:
    """The threshold of each variant on each split, chosen on its training stays."""
    parts = [parts_of(split, cohort) for split in chosen]
    flat = [part for own_parts in parts for part in own_parts]
    z = networks(variants, params, cohort, grid, flat, 1)
    return {
        name: [
            limit_of(
                own_parts, cohort, [found[0] for found in z[name][i * FOLDS : (i + 1) * FOLDS]]
            )
            for i, own_parts in enumerate(parts)
        ]
        for name in variants
    }


def compare(
    params: Params,
    cohort: pd.DataFrame,
    grid: np.ndarray,
    every: list[Split],
    models: list[str],
    members: int,
) -> None:
    """Print the scores, then the differences from the network."""
    names = [MODELS[model] for model in models]
    z: Predictions = {}
    limits: Limits = {}
    if "network" in names:
        own = {"network": (params.features, params.model)}
        z |= networks(own, params, cohort, grid, every, members)
        limits |= limits_of(own, params, cohort, grid, every)
    for name in names:
        if name in baselines.BASELINES:
            found = [baseline(name, params, cohort, grid, split, members) for split in every]
            z[name], limits[name] = ([pair[i] for pair in found] for i in (0, 1))
    died = [cohort["died"].to_numpy()[split.test] for split in every]
    print("\n".join(score_rows(z, limits, protocols(every), died, members)))
    if len(z) > 1 and "network" in z:
        print("\n" + "\n".join(difference_rows(z, protocols(every), died, members)))


def protocols(every: list[Split]) -> list[Protocol]:
    """The protocols, the numbers of their splits, and the relative size of their test sets."""
    found = []
    for name in dict.fromkeys(split.name for split in every):
        which = [i for i, split in enumerate(every) if split.name == name]
        shares = [every[i].test.sum() / every[i].train.sum() for i in which]
        found.append(Protocol(name, which, float(np.mean(shares))))
    return found


def ablations(params: Params, cohort: pd.DataFrame, grid: np.ndarray, members: int) -> None:
    """Print the effect of each change of the network, A → B and B → A."""
    variants = {"the network": (params.features, params.model)}
    variants |= {
        name: (params.features, params.model.model_copy(update=changes))
        for name, changes in ABLATIONS.items()
    }
    variants |= {
        name: (params.features.model_copy(update=changes), params.model)
        for name, changes in OTHER_FEATURES.items()
    }
    both = splits(cohort)[:2]
    z = networks(variants, params, cohort, grid, both, members)
    limits = limits_of(variants, params, cohort, grid, both)
    died = [cohort["died"].to_numpy()[split.test] for split in both]
    print("\n".join(ablation_rows(z, limits, died, members)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "raw", type=Path, help="folder with set-a.tar.gz, set-b.tar.gz and their Outcomes"
    )
    parser.add_argument(
        "--work", type=Path, help="for the prepared records; a temporary folder by default"
    )
    parser.add_argument("--members", type=int, default=5, help="number of seeds, at least 2")
    parser.add_argument(
        "--trials", type=int, default=17, help="number of settings to try for a baseline"
    )
    parser.add_argument("--directions", action="store_true", help="without the five folds")
    parser.add_argument(
        "--measurements", nargs="+", help="a set or names; by default those of params.yaml"
    )
    parser.add_argument(
        "--static-inputs", nargs="*", help="by default those of model in params.yaml"
    )
    task = parser.add_mutually_exclusive_group()
    task.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    task.add_argument("--ablations", action="store_true")
    task.add_argument("--settings", action="store_true")
    arguments = parser.parse_args()
    if arguments.members < 2:
        parser.error("--members must be at least 2: one training has no variance")
    changes = {name: getattr(arguments, name) for name in ("measurements", "static_inputs")}
    with workplace(arguments.raw, arguments.work, **changes) as params:
        options = params.baselines.model_copy(update={"trials": arguments.trials})
        params = params.model_copy(update={"baselines": options})
        cohort, grid = read_table(paths.COHORT, COHORT), np.asarray(read_array(paths.GRID))
        print(f"Commit {commit()}. {len(params.columns)} measurements.\n", flush=True)
        if arguments.settings:
            first = splits(cohort)[0].train
            for name in baselines.BASELINES:
                print(f"{name}: {found(name, params, cohort[first], grid[first])}")
        elif arguments.ablations:
            ablations(params, cohort, grid, arguments.members)
        else:
            every = splits(cohort)[: 2 if arguments.directions else None]
            compare(params, cohort, grid, every, arguments.models, arguments.members)


if __name__ == "__main__":
    main()
