"""The shapes of arrays in public signatures: they are there, and they are checked."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from literature_set import M
from model_world import MODEL
from rooms import SRC

from icu_adversarial.features.grid import fill_gaps
from icu_adversarial.model.networks.registry import build
from icu_adversarial.model.scores import rank_scores

SHAPED = ("evaluate", "features", "model", "probe")
# An array with its shape, and tensors by name, whose shapes differ.
SHAPE = re.compile(r"\w+\[(?:np\.ndarray|Tensor), '[^']*'\]|dict\[str, Tensor\]")


def public_functions(file: Path) -> Iterator[ast.FunctionDef]:
    """The public functions of a module and the public methods of its classes."""
    module = ast.parse(file.read_text())
    for owner in [module, *(node for node in module.body if isinstance(node, ast.ClassDef))]:
        for node in owner.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield node


def test_arrays_in_public_signatures_have_a_shape() -> None:
    found = 0
    for room in SHAPED:
        for file in (SRC / "icu_adversarial" / room).rglob("*.py"):
            for function in public_functions(file):
                returned = ast.unparse(function.returns) if function.returns else ""
                signature = f"{ast.unparse(function.args)} -> {returned}"
                bare = SHAPE.sub("", signature)
                found += signature != bare
                name = f"{file.name}: {function.name}"
                assert not re.search(r"np\.ndarray|\bTensor\b", bare), name
    assert found > 50


def test_a_wrong_number_of_dimensions_is_refused() -> None:
    with pytest.raises(TypeCheckError):
        fill_gaps(np.zeros((4, M), np.float32), "linear", "both")


def test_a_size_must_be_the_same_in_all_arguments() -> None:
    with pytest.raises(TypeCheckError):
        rank_scores(np.array([0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4]))


def test_a_type_of_numbers_is_checked() -> None:
    with pytest.raises(TypeCheckError):
        rank_scores(np.array([0, 1]), np.array([1, 2]))


def test_the_input_of_a_network_is_checked() -> None:
    network = build(2 * M, 0, MODEL)
    with pytest.raises(TypeCheckError):
        network(torch.zeros(2 * M))
