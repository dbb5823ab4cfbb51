"""The table of the attack's constants, on a few stays and a small network."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attack_models import Recurrent

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import attack_constants
from attack_victims import Group

from icu_adversarial.attack.algorithms.settings import (
    NOT_RECORDED,
    L1Settings,
    StepSettings,
    SunSettings,
)


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(function: Callable[..., Any], jobs: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        return (function(*job) for job in jobs)

    monkeypatch.setattr(attack_constants, "in_processes", here)


def stays() -> list[Group]:
    network = Recurrent(5, 16)
    x = torch.rand(16, 6, 5, generator=torch.Generator().manual_seed(0))
    y = network.calibrate(x)
    return [Group(network, 0, np.arange(16), x, y, torch.zeros_like(x), torch.ones_like(x))]


@pytest.mark.parametrize("settings", [L1Settings(), StepSettings(), SunSettings()])
def test_every_constant_says_what_it_does_and_how_it_was_chosen(settings: Any) -> None:
    for entry in fields(settings):
        if not is_dataclass(getattr(settings, entry.name)):
            assert entry.metadata["does"].endswith(".")
            assert len(entry.metadata["chosen"]) >= len(NOT_RECORDED)


def test_every_number_of_the_settings_is_varied_and_within_its_limits() -> None:
    found = {constant.name: constant for constant in attack_constants.constants(L1Settings())}
    names = {field.name for field in (*fields(L1Settings()), *fields(StepSettings()))} - {"step"}
    assert {part for name in found for part in name.split(".")} >= names
    assert found["step.shrink"].variants["half"][0] == 0.25
    assert found["step.shrink"].variants["half"][1].step.shrink == 0.25
    assert found["step.shrink"].variants["twice"][0] == 1.0
    assert found["wider"].variants["half"][0] == 1.0
    assert found["sparse_patience"].variants["half"][0] == 1
    assert found["sparse_starts.cap"].variants["twice"][0] == (0.5, 1.0, 0.5, 1.0)
    assert found["starts.radius"].variants["twice"][1].starts[4].radius == 0.6
    for constant in found.values():
        for _, settings in constant.variants.values():
            assert isinstance(settings, L1Settings)


def test_the_table_compares_half_and_twice_with_the_default() -> None:
    lines = attack_constants.report(stays(), ["step.programmes", "beyond_steps"]).splitlines()
    head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    table = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["value"] for row in table] == [
        "default: 10",
        "half: 5",
        "twice: 20",
        "default: 5",
        "half: 2",
        "twice: 10",
    ]
    beyond, programmes = table[0], table[3]
    assert (beyond["constant"], programmes["constant"]) == ("`beyond_steps`", "`step.programmes`")
    assert float(beyond["passes"]) > 2 * float(programmes["passes"])
    assert all(row["flipped"] == "100.0%" for row in table)
    assert beyond["Δ L1, %"] == ""


def test_a_change_is_that_of_the_mean_over_the_stays_that_both_flip() -> None:
    nan = np.nan
    default = attack_constants.Found(np.array([1.0, 3.0, 2.0, nan]), np.array([1, 3, 2, nan]), 9.6)
    other = attack_constants.Found(np.array([2.0, 3.0, nan, 5.0]), np.array([2, 3, nan, 5]), 8.0)
    rows = attack_constants.rows({"default": default, "half": other}, {"default": 4, "half": 2})
    assert [list(row.values()) for row in rows] == [
        ["default: 4", "75.0%", "2", "2", "10", "", ""],
        ["half: 2", "75.0%", "3.333", "3.33", "8", "+25.0 ± 25.0", "+25.0 ± 25.0"],
    ]


def test_the_page_names_the_source_and_the_command() -> None:
    page = attack_constants.page(stays(), ["stretch"], "stays of a test", "--stays 16")
    assert "**stays of a test**" in page
    assert "python benchmarks/attack_constants.py --stays 16" in page
    assert "`stretch`" in page
