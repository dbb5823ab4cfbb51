"""Predictions and attacks of a revision, an experiment or the workspace. The gate reads them."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError

WORKSPACE = "workspace"
PARAMS = Path("params.yaml")
# An earlier revision may have more columns than these.
PREDICTED = ("stay_id", "split", "fold", "died", "probability", "logit_0", "logit_1")
ATTACKED = ("stay_id", "fold", "direction", "kind", "success", "l0", "l1")
SHOWN = ("attack", "tune_attack")  # blocks of params.yaml that change how a model is attacked


class Revision(NamedTuple):
    """What a run left.

    Attributes:
        name: A Git revision, an experiment of DVC, or workspace.
        stays: PREDICTED and subject_id, indexed by stay_id.
        attacks: ATTACKED of the best examples by objective, indexed by stay_id.
        settings: The settings of the attack by their path in params.yaml.
    """

    name: str
    stays: pd.DataFrame
    attacks: dict[str, pd.DataFrame]
    settings: dict[str, Any]


def read_revision(name: str) -> Revision:
    """Read the outputs of a run from the workspace, or from the cache or the remote of DVC.

    Args:
        name: A Git revision, an experiment of DVC, or workspace.

    Returns:
        The predictions, and the attacks of the objectives in its params.yaml.

    Raises:
        InputError: The revision is unknown, or one of its outputs is missing or unreadable.
    """
    read = _reader(name)
    try:
        params = YAML(typ="safe").load(read(PARAMS))
        objectives, settings = list(params["objectives"]), _flat({b: params[b] for b in SHOWN})
    except (YAMLError, KeyError, TypeError):
        raise InputError(f"{name}: {PARAMS} names no objectives and attack") from None

    def table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
        try:
            return pd.read_parquet(BytesIO(read(path)), columns=list(columns))
        except (pa.ArrowInvalid, OSError):
            reason = f"is not Parquet with the columns {', '.join(columns)}"
            raise InputError(f"{name}: {path} {reason}: run `dvc repro`") from None

    subjects = table(paths.COHORT, ("stay_id", "subject_id"))
    stays = table(paths.PREDICTIONS, PREDICTED).merge(subjects, on="stay_id")
    attacks = {}
    for objective in objectives:
        examples = table(paths.ATTACK / objective / "examples.parquet", ATTACKED)
        attacks[objective] = examples[examples["kind"] == "best"].set_index("stay_id")
    return Revision(name, stays.set_index("stay_id"), attacks, settings)


def _reader(name: str) -> Callable[[Path], bytes]:
    """A function that reads a file of a revision. Its errors are InputErrors."""
    try:
        system = None if name == WORKSPACE else DVCFileSystem(".", rev=name)
        if system:
            system.repo.get_rev()  # only now it is looked up
    except DvcException as error:
        raise InputError(
            f"{name} is no Git revision and no experiment ({error}): `dvc exp show` lists them"
        ) from None

    def read(path: Path) -> bytes:
        try:
            return system.read_bytes(str(path)) if system else path.read_bytes()
        except (OSError, DvcException):
            where = f"not in the cache of DVC: run `dvc pull`, or `dvc repro` in {name}"
            missing = where if system else "missing: run `dvc repro`"
            raise InputError(f"{name}: {path} is {missing}") from None

    return read


def _flat(settings: Any, path: str = "") -> dict[str, Any]:
    """Nested settings by their path."""
    if not isinstance(settings, dict):
        return {path: settings}
    return {
        key: value
        for name, inner in settings.items()
        for key, value in _flat(inner, f"{path}.{name}" if path else str(name)).items()
    }
