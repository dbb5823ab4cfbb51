"""A trained network on disk: weights as safetensors, everything else as JSON."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from icu_adversarial.errors import InputError
from icu_adversarial.files import atomic, read_json, write_json
from icu_adversarial.model.networks import Network, build


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Raises OSError where the disk is full."""
    with atomic(path) as temporary:
        try:
            save_file(tensors, temporary)
        except SafetensorError as error:
            raise OSError(f"{path}: {error}") from None


def save_model(
    folder: Path, network: Network, channels: int, model: dict[str, Any], facts: dict[str, Any]
) -> None:
    """Write model.safetensors and model.json: `channels`, `statics`, the `model` (params.Model as a dict), and `facts` about the training."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / "model.safetensors", network.state_dict())
    write_json(
        folder / "model.json",
        {"channels": channels, "statics": network.statics, "model": model, **facts},
    )


def load_model(folder: Path) -> Network:
    """The network in `folder`, in evaluation mode, with the validation threshold folded into its logits. Raises InputError if it is not one."""
    about = read_json(folder / "model.json")
    network = build(about["channels"], about["statics"], about["model"])
    try:
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{folder / 'model.safetensors'} does not hold the network of model.json ({str(error).splitlines()[0]}): run `dvc repro`"
        ) from None
    return network.eval()
