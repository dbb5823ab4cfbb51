"""Models from files: what is read, and what a folder that holds none is told."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from attack_world import FOLDS, N, make_cohort, make_grid, write_model, write_world
from literature_set import NAMES, M

from icu_adversarial.analyze.inputs import read_scalers
from icu_adversarial.attack.victims import model_files, read_file, read_victims
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_json, write_json
from icu_adversarial.core.schemas import ENSEMBLE, FILE

FOLDER = Path("elsewhere")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_file_is_the_network_and_the_scaler_that_were_written() -> None:
    network, scaler = write_model(FOLDER, np.arange(N) % 2 == 0, seed=3)
    (fold, victim), *others = read_file(FOLDER, NAMES, "grid").items()
    assert (fold, others) == (FILE, [])
    x = torch.from_numpy(scaler.apply(make_grid(), make_cohort()))
    np.testing.assert_array_equal(victim.scaler.apply(make_grid(), make_cohort()), x)
    with torch.no_grad():
        torch.testing.assert_close(
            victim.model(x), network(x), rtol=0, atol=1e-6
        )  # not bit for bit: see oracle.AlignedLinear
        assert torch.equal(victim.model(x), victim.model(x))  # no dropout


def test_the_folds_and_their_ensemble_are_read_in_the_order_of_their_numbers() -> None:
    write_world()
    shutil.copytree(paths.MODELS / "fold_1", paths.MODELS / "fold_10")
    assert list(read_victims(NAMES, "grid")) == [*range(FOLDS), 10, ENSEMBLE]
    assert len(model_files()) == 3 * (FOLDS + 1)


def test_no_model_at_all_is_told() -> None:
    with pytest.raises(InputError, match=r"^data/train/models holds no model: run `dvc repro`$"):
        read_victims(NAMES, "grid")


def change_json(name: str, change: Callable[[dict], object]) -> None:
    content = read_json(FOLDER / name)
    change(content)
    write_json(FOLDER / name, content)


def narrow_scaler() -> None:
    change_json("scaler.json", lambda content: content.update(extra_channels=[]))


def narrow_both() -> None:
    """Scaler and description agree with each other, but not with the weights."""
    narrow_scaler()
    change_json("model.json", lambda content: content.update(channels=content["channels"] - M))


def truncate_weights() -> None:
    weights = FOLDER / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])


@pytest.mark.parametrize("other", [NAMES[:3], NAMES[::-1]])
def test_a_model_of_other_measurements_is_refused_in_one_line(other: tuple[str, ...]) -> None:
    write_model(FOLDER, np.arange(N) % 2 == 0, seed=3)
    lists = (
        f"{', '.join(NAMES)}, but the columns of data/preprocess/grid.npy are {', '.join(other)}"
    )
    expected = f"elsewhere/scaler.json: the model reads {lists}: run `dvc repro`, or use a model"
    for read in (partial(read_file, FOLDER, space="grid"), partial(read_scalers, FOLDER, "file")):
        with pytest.raises(InputError) as error:
            read(other)
        assert str(error.value).startswith(expected)
        assert "\n" not in str(error.value)


def test_a_model_of_the_pipeline_from_before_a_change_of_measurements_is_refused() -> None:
    write_world()
    with pytest.raises(
        InputError, match=r"^data/train/models/fold_0/scaler\.json: the model reads"
    ):
        read_victims((*NAMES, "gcs"), "grid")
    with pytest.raises(InputError, match=r"spo2, gcs: run `dvc repro`"):
        read_scalers(paths.MODELS, "fold", (*NAMES, "gcs"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda: (FOLDER / "scaler.json").unlink(),
            "elsewhere has no scaler.json: name a folder with",
        ),
        (
            lambda: shutil.rmtree(FOLDER),
            "elsewhere has no model.safetensors, model.json, scaler.json: name a folder with",
        ),
        (
            lambda: change_json("model.json", lambda content: content.pop("statics")),
            r"was not written by this version \(KeyError: 'statics'\)",
        ),
        (
            lambda: change_json(
                "model.json", lambda content: content["model"].update(architecture="transformer")
            ),
            "not written by this version",
        ),
        (
            lambda: change_json("scaler.json", lambda content: content.pop("statics")),
            r"was not written by this version \(KeyError: 'statics'\)",
        ),
        (lambda: (FOLDER / "model.json").write_text("[]"), "was not written by this version"),
        (lambda: (FOLDER / "model.json").write_text("{"), r"model\.json is not JSON"),
        (narrow_scaler, "scaler.json makes 24 channels, model.json expects 43"),
        (narrow_both, r"model\.safetensors does not hold the network of model\.json"),
        (truncate_weights, "model.safetensors|was not written by this version"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told_in_one_line(
    spoil: Callable[[], object], message: str
) -> None:
    write_model(FOLDER, np.arange(N) % 2 == 0, seed=3)
    assert json.loads((FOLDER / "model.json").read_text())["channels"] == 43
    spoil()
    with pytest.raises(InputError, match=message) as error:
        read_file(FOLDER, NAMES, "grid")
    assert "\n" not in str(error.value)
    assert "elsewhere" in str(error.value)
