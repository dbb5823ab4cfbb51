"""A trained network on disk: weights as safetensors, everything else as JSON."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from icu_adversarial.config.base import describe
from icu_adversarial.config.model import Model
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import atomic, read_json, write_json
from icu_adversarial.model.networks.base import Network
from icu_adversarial.model.networks.registry import build


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file, whole or not at all.

    Args:
        path: The file.
        tensors: By name.

    Raises:
        OSError: The disk is full.
    """
    with atomic(path) as temporary:
        try:
            save_file(tensors, temporary)
        except SafetensorError as error:
            raise OSError(f"{path}: {error}") from None


def save_model(
    folder: Path, network: Network, channels: int, model: Model, facts: dict[str, Any]
) -> None:
    """Write model.safetensors and model.json.

    Args:
        folder: Where the files go; made if missing.
        network: The trained network.
        channels: Number of channels that it reads, C.
        model: Its settings.
        facts: Further entries of model.json, about the training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / "model.safetensors", network.state_dict())
    write_json(
        folder / "model.json",
        {
            "channels": channels,
            "statics": network.statics,
            "model": model.model_dump(mode="json"),
            **facts,
        },
        exact=True,
    )


def load_model(folder: Path) -> Network:
    """Read a network, in evaluation mode, with the threshold included in its logits.

    Args:
        folder: Holds model.safetensors and model.json.

    Returns:
        The network.

    Raises:
        InputError: A file is missing, or the weights are not those of the network in model.json.
        ValueError: model.json has settings that this version does not know.
    """
    about = read_json(folder / "model.json")
    try:
        model = Model.model_validate(about["model"])
    except ValidationError as error:
        wrong = "; ".join(describe(error.errors(include_url=False), "model"))
        raise ValueError(wrong) from None
    network = build(about["channels"], about["statics"], model)
    try:
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{folder / 'model.safetensors'} does not hold the network of model.json "
            f"({str(error).splitlines()[0]}): run `dvc repro`"
        ) from None
    return network.eval()
