"""Real patients, networks to attack, and stays that these networks classify correctly.

A victim is two of five folds of PhysioNet Challenge 2012. Each stay is attacked with the network
that was not trained on its subject.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from icu_adversarial.attack.tasks import choose_stays
from icu_adversarial.config.params import Params, load_params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, read_json, write_json
from icu_adversarial.core.schemas import COHORT, read_table
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.measurements import SETS
from icu_adversarial.model.fold_data import make_fold
from icu_adversarial.model.folds import save_folds, train_folds
from icu_adversarial.model.networks.storage import load_model
from icu_adversarial.model.scores import rank_scores
from icu_adversarial.model.training import log_odds, logits, training_device
from icu_adversarial.stages import extract, preprocess

ROOT = Path(__file__).parents[1]
FOLDS = (0, 1)
SEED = 1234
MASKED = {"extra_channels": ("observed", "hours_since_observed")}


class Recipe(NamedTuple):
    """Changes of `literature` in params.yaml, the recipe of the literature."""

    model: dict[str, Any]
    train: dict[str, Any] = {}  # noqa: RUF012 (never changed)


RECIPES = {
    "default": None,  # the settings of params.yaml, better than all rows of `literature`
    "rough": Recipe(
        MASKED | {"dropout": 0.0, "keep": "last"}, {"epochs": 50, "evaluate_every": 10}
    ),  # over-trained
    "literature": Recipe({}),  # LSTM-128 on the values only
}


class Group(NamedTuple):
    """The stays of one fold and their network, on a GPU if there is one.

    x: (n, T, C), without NaN.
    y: (n,).
    lower, upper: (n, T, M), the box. They are equal where a cell is fixed.
    """

    network: nn.Module
    fold: int
    stay_id: np.ndarray
    x: Tensor
    y: Tensor
    lower: Tensor
    upper: Tensor

    @property
    def values(self) -> Tensor:
        """The channels that an attack may change, (n, T, M)."""
        return self.x[..., : self.lower.shape[2]]

    def rows(self, which: np.ndarray) -> "Group":
        return Group(
            self.network, self.fold, self.stay_id[which], *(tensor[which] for tensor in self[3:])
        )


@contextmanager
def workplace(raw: Path, work: Path | None, **changes: Any) -> Iterator[Params]:
    """Prepare the records of `raw` in the folder `work`, or a temporary one, and work there.

    changes: As for `prepare`.
    """
    raw = raw.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        place = work or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        with chdir(place):
            yield prepare(raw, **changes)


def prepare(
    raw: Path,
    measurements: Sequence[str] | None = None,
    static_inputs: Sequence[str] | None = None,
) -> Params:
    """Run the stages extract and preprocess on sets A and B, unless this has been done.

    Args:
        raw: The folder of Challenge 2012.
        measurements: A set of measurements or their names, if not those of params.yaml.
        static_inputs: Those of the network and the baselines, if not those of params.yaml.

    Raises:
        ValueError: There are no such measurements or static inputs.
    """
    content, sets = load_params(ROOT / "params.yaml").model_dump(), Path("sets")
    content["extract"] |= {"source": "challenge2012", "raw": sets}
    if measurements:
        one_set = len(measurements) == 1 and measurements[0] in SETS
        content["measurements"] = measurements[0] if one_set else tuple(measurements)
    if static_inputs is not None:
        content["model"]["static_inputs"] = tuple(static_inputs)
    params, read = Params.model_validate(content), Path("measurements.json")
    if paths.COHORT.exists():
        if not read.exists() or tuple(read_json(read)) != params.names:
            sys.exit(f"{Path.cwd()} was prepared with other measurements: use another folder")
    else:
        write_json(read, params.names)
        sets.mkdir(exist_ok=True)
        for file in (
            *raw.glob("set-[ab]*"),
            *raw.glob("Outcomes-[ab].txt"),
        ):  # the folder may also have set C
            (sets / file.name).unlink(missing_ok=True)
            (sets / file.name).symlink_to(file)
        extract.run(params)
        preprocess.run(params)
    return params


def train(name: str, params: Params) -> Path:
    """Train RECIPES[name] on the cohort in the working folder, unless this has been done.

    Returns:
        The folder of the folds' models.
    """
    recipe, folder, unfinished = RECIPES[name], Path("victims", name), Path("victims", f".{name}")
    if folder.exists():
        return folder
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    fold = cohort["fold"].to_numpy()
    features, model, options = params.features, params.model, params.train
    if recipe is not None:
        features, literature = params.literature.features, params.literature
        model, options = (
            literature.model.model_copy(update=recipe.model),
            literature.train.model_copy(update=recipe.train),
        )
    pairs = [
        make_fold(
            grid, params.columns, cohort, fold == k, features, model, (fold >= 0) & (fold != k)
        )
        for k in FOLDS
    ]
    data, scalers = zip(*pairs, strict=True)
    checkpoints = Path("checkpoints", name)
    checkpoints.mkdir(parents=True, exist_ok=True)
    states = train_folds(data, model, options, checkpoints)
    folders = [unfinished / f"fold_{k}" for k in FOLDS]
    save_folds(folders, states, data, scalers, model)
    for k, part in zip(FOLDS, data, strict=True):
        network = load_model(unfinished / f"fold_{k}")
        seen, unseen = (
            rank_scores(y, log_odds(network, x))[0]
            for x, y in ((part.x_train, part.y_train), (part.x_held_out, part.y_held_out))
        )
        print(
            f"{name}, fold {k}: AUROC {seen:.3f} on its training stays, {unseen:.3f} out of fold",
            flush=True,
        )
    return unfinished.rename(folder)


def predictions(models: Path) -> pd.DataFrame:
    """The out-of-fold stays of FOLDS.

    Args:
        models: A folder of the folds' models. The cohort is that of the working folder, or of the
            pipeline of the models.

    Returns:
        The columns stay_id, split, fold, died and predicted, as in schemas.PREDICTIONS.
    """
    cohort, grid = cohort_of(models)
    parts = []
    for k in FOLDS:
        rows = np.flatnonzero(cohort["fold"] == k)
        network, scaler = (
            load_model(models / f"fold_{k}"),
            Scaler.load(models / f"fold_{k}" / "scaler.json"),
        )
        predicted = (
            logits(network, scaler.apply(grid[rows], cohort.iloc[rows])).argmax(1).astype(bool)
        )
        parts.append(
            cohort.iloc[rows][["stay_id", "fold", "died"]].assign(split="oof", predicted=predicted)
        )
    return pd.concat(parts, ignore_index=True)


def choose(predicted: pd.DataFrame, stays: int) -> tuple[np.ndarray, np.ndarray]:
    """The stay_ids to attack, and those of 64 other correctly classified stays for tuning.

    Half of each are of each direction, where possible.
    """
    chosen = choose_stays(predicted, max_stays=stays, attack_misclassified=False, seed=SEED)[
        "stay_id"
    ].to_numpy()
    others = predicted[~predicted["stay_id"].isin(chosen)]
    return chosen, choose_stays(others, max_stays=64, attack_misclassified=False, seed=SEED)[
        "stay_id"
    ].to_numpy()


def groups(models: Path, predicted: pd.DataFrame, stay_ids: np.ndarray) -> Iterator[Group]:
    """The stays by fold, as tensors."""
    cohort, grid = cohort_of(models)
    device = training_device()
    y = predicted.set_index("stay_id")["predicted"].astype(int)
    for k in FOLDS:
        rows = np.flatnonzero((cohort["fold"] == k) & cohort["stay_id"].isin(stay_ids))
        ids = cohort["stay_id"].to_numpy()[rows]
        scaler = Scaler.load(models / f"fold_{k}" / "scaler.json")
        x = torch.from_numpy(scaler.apply(grid[rows], cohort.iloc[rows]))
        values = x[..., : grid.shape[2]]
        movable = torch.from_numpy(scaler.perturbable) & values.isfinite()
        x, values = x.nan_to_num(), values.nan_to_num()
        box = (torch.where(movable, bound, values) for bound in (0.0, 1.0))
        tensors = (tensor.to(device) for tensor in (x, torch.tensor(y[ids].to_numpy()), *box))
        yield Group(load_model(models / f"fold_{k}").to(device), k, ids, *tensors)


def cohort_of(models: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """The cohort and grid of a pipeline's data/train/models, or of the working folder."""
    data = models.parents[2] if models.name == "models" else Path()
    return read_table(data / paths.COHORT, COHORT), read_array(data / paths.GRID)
