"""Read the models that can be attacked: those of the folds, all of them together, and a file."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from icu_adversarial.attack.ensemble import Ensemble, EnsembleScaling
from icu_adversarial.attack.oracle import for_attack
from icu_adversarial.attack.record import RecordModel, RecordScaling
from icu_adversarial.attack.tasks import Victim
from icu_adversarial.config.attack import Space
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_json
from icu_adversarial.core.schemas import ENSEMBLE, FILE
from icu_adversarial.features.scaling import Scaler, read_scaler
from icu_adversarial.model.networks.storage import load_model

FILES = ("model.safetensors", "model.json", "scaler.json")


def read_victims(names: Sequence[str], space: Space) -> dict[int, Victim]:
    """Read the models of the pipeline, on the GPU if there is one.

    Args:
        names: The measurements of the columns of the grid.
        space: What an attack moves, `attack.space` of params.yaml.

    Returns:
        The models by fold; ENSEMBLE stands for all of them together.

    Raises:
        InputError: There is no model, or one reads other measurements.
    """
    loaded = {fold: _read(folder, names) for fold, folder in _folders().items()}
    if not loaded:
        raise InputError(f"{paths.MODELS} holds no model: run `dvc repro`")
    models, scalers = zip(*loaded.values(), strict=True)
    victims = {fold: _victim([model], [scaler], space) for fold, (model, scaler) in loaded.items()}
    return victims | {ENSEMBLE: _victim(models, scalers, space)}


def _victim(models: Sequence[nn.Module], scalers: Sequence[Scaler], space: Space) -> Victim:
    """One model, or several together, in a space."""
    if space == "record":
        record = RecordScaling(scalers)
        return Victim(RecordModel(models, record).eval().to(_device()), record)
    if len(models) == 1:
        return Victim(models[0], scalers[0])
    scaling = EnsembleScaling(scalers)
    return Victim(Ensemble(models, scaling).eval().to(_device()), scaling)


def read_file(folder: Path, names: Sequence[str], space: Space) -> dict[int, Victim]:
    """Read a model from anywhere.

    Args:
        folder: The folder with the files FILES.
        names: The measurements of the columns of the grid.
        space: As for `read_victims`.

    Returns:
        The model, under the key FILE.

    Raises:
        InputError: The folder has no model with its scaler, the files cannot be used, or the model
            reads other measurements.
    """
    advice = f"name a folder with {', '.join(FILES)}, like a fold's in {paths.MODELS}"
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(f"attack.models: {folder} has no {', '.join(missing)}: {advice}")
    try:
        model, scaler = _read(folder, names)
        channels = read_json(folder / "model.json")["channels"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"attack.models: {folder} was not written by this version "
            f"({type(error).__name__}: {error}): {advice}"
        ) from None
    if scaler.channels != channels:
        raise InputError(
            f"attack.models: {folder}: scaler.json makes {scaler.channels} channels, model.json "
            f"expects {channels}: {advice}"
        )
    return {FILE: _victim([model], [scaler], space)}


def model_files() -> list[Path]:
    """All files of the models of all folds."""
    return sorted(file for folder in _folders().values() for file in folder.iterdir())


def _folders() -> dict[int, Path]:
    """The folders of the models, by fold."""
    folders = {
        int(folder.name.removeprefix("fold_")): folder for folder in paths.MODELS.glob("fold_*")
    }
    return dict(sorted(folders.items()))


def _read(folder: Path, names: Sequence[str]) -> tuple[nn.Module, Scaler]:
    """A model for an attack, and its scaler."""
    scaler = read_scaler(folder / "scaler.json", names)
    return for_attack(load_model(folder)).to(_device()), scaler


def _device() -> str:
    """The GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"
