"""The tables that compare attacks, with small fakes of other projects' attacks."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import attack_quality
import attack_speed
from attack_peers import Method, run
from attack_tables import (
    PeerError,
    all_flip,
    by_stays,
    check_result,
    compare,
    markdown,
    print_tables,
    wilson,
)
from attack_victims import Group
from literature_set import M
from scipy.stats import binomtest

T, STAYS = 4, 10


class Sum(nn.Module):
    """Calls a stay dead where its mean value exceeds one half."""

    def forward(self, x: Tensor) -> Tensor:
        z = x[..., :M].mean((1, 2)) - 0.5
        return torch.stack([-z, z], 1)


def make_group() -> Group:
    x = torch.from_numpy(np.random.default_rng(0).uniform(0.3, 0.49, (STAYS, T, M)))
    x = x.to(torch.float32)
    y = torch.zeros(STAYS, dtype=torch.int64)
    return Group(Sum(), 0, np.arange(STAYS), x, y, torch.zeros_like(x), torch.ones_like(x))


def raises(network: nn.Module, group: Group) -> Tensor:
    message = "index 3 is out\nof bounds"
    raise IndexError(message)


def returns_zero_distances(network: nn.Module, group: Group) -> Tensor:
    return group.x[..., :M]


def returns_nan(network: nn.Module, group: Group) -> Tensor:
    return torch.full_like(group.x, torch.nan)


def moves_all(network: nn.Module, group: Group) -> Tensor:
    network(group.x)
    return torch.ones_like(group.x)


BAD = {
    "raises": (raises, "IndexError: index 3 is out of bounds"),
    "zero": (returns_zero_distances, "all 10 distances are zero"),
    "nan": (returns_nan, "10 of 10 distances are not finite"),
}


def result(success: list[bool], l1: list[float], l0: list[int]) -> pd.DataFrame:
    content = {"success": success, "l1": l1, "l0": l0, "forwards": 7.0, "backwards": 1234.0}
    return pd.DataFrame(content)


@pytest.mark.parametrize(("number", "of"), [(0, 10), (7, 10), (10, 10), (500, 512), (1, 1)])
def test_an_interval_of_a_share_is_wilsons(number: int, of: int) -> None:
    expected = binomtest(number, of).proportion_ci(method="wilson")
    assert wilson(number, of) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert wilson(0, 0) == (0, 1)


@pytest.mark.parametrize("kind", BAD)
def test_a_peer_that_crashes_or_returns_garbage_is_an_error_that_says_so(kind: str) -> None:
    attack, message = BAD[kind]
    with pytest.raises(PeerError) as error:
        check_result(attack_speed.frame([run(Method("adv-lib", "", attack), make_group())]))
    assert str(error.value) == message


def test_our_own_attack_that_crashes_is_not_hidden() -> None:
    with pytest.raises(IndexError):
        run(Method("ours", "", raises), make_group())


def test_a_peer_that_works_is_checked_and_its_passes_are_counted() -> None:
    found = run(Method("adv-lib", "", moves_all), make_group())
    assert found.success.all()
    assert (found.l0 == T * M).all()
    assert (found.forwards, found.backwards) == (1, 0)


def test_a_result_without_any_flip_is_one_if_something_moved() -> None:
    check_result(result([False, False], [0.0, 0.1], [0, 1]))
    check_result(result([True, False], [0.0, 0.0], [0, 0]))
    with pytest.raises(PeerError, match="zero"):
        check_result(result([False, False], [0.0, 0.0], [0, 0]))


def test_norms_are_those_of_the_stays_that_all_methods_flip() -> None:
    results = {
        "a": result([True, True, True, False], [1.0, 2.0, 30.0, 0.0], [1, 2, 9, 0]),
        "b": result([True, True, False, True], [3.0, 5.0, 0.0, 70.0], [4, 6, 0, 50]),
        "flips none": result([False] * 4, [1.0] * 4, [1] * 4),
    }
    assert all_flip(results).tolist() == [0, 1]
    table, common = compare(results, {"a": {"settings": "x"}})
    assert common == 2
    table = table.set_index("method")
    assert table.loc["a", ["median L1", "mean L0"]].tolist() == ["1.5", "1.5"]
    assert table.loc["b", ["median L1", "mean L0"]].tolist() == ["4", "5"]
    assert table.loc["flips none", "mean L1"] == "—"
    assert table.loc["b", ["forward", "backward"]].tolist() == ["7", "1,234"]
    assert table.loc["a", "success, % (95 %)"].startswith("75.0% (30.")
    assert table.loc["a", "settings"] == "x"


def test_methods_tried_on_fewer_stays_are_in_a_table_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = {
        "slow": result([True, True], [1.0, 1.0], [1, 1]),
        "a": result([True, True, True, False], [1.0, 2.0, 30.0, 0.0], [1, 2, 9, 0]),
        "b": result([True, False, True, True], [3.0, 5.0, 6.0, 70.0], [4, 6, 0, 50]),
    }
    assert [list(group) for group in by_stays(results)] == [["a", "b"], ["slow"]]
    print_tables(results, {}, {"FMN-L0": "all 64 distances are zero"})
    text = capsys.readouterr().out
    first, second = text.split("2 stays; norms over the 2 that all of these methods flip")
    assert "4 stays; norms over the 2 that all of these methods flip" in first
    assert "| slow |" not in first
    assert "| slow |" in second
    assert "failed: FMN-L0: all 64 distances are zero" in second


def test_a_table_is_markdown() -> None:
    table = pd.DataFrame({"method": ["a", "b"], "ms": ["1", "2"]})
    assert markdown(table) == "| method | ms |\n| --- | --- |\n| a | 1 |\n| b | 2 |"


def test_cells_are_compared_over_the_stays_that_both_flip() -> None:
    ours = result([True, True, True], [1.0] * 3, [2, 4, 90])
    theirs = result([True, True, False], [1.0] * 3, [6, 6, 1])
    assert attack_speed.cells_where_both_flip(ours, theirs) == (0.5, 2)


def lay(monkeypatch: pytest.MonkeyPatch, module: object) -> None:
    """One group of stays instead of real patients."""
    monkeypatch.setattr(module, "groups", lambda *_: iter([make_group()]))


def test_the_comparison_goes_on_after_a_peer_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lay(monkeypatch, attack_quality)
    stays = pd.DataFrame(
        {
            "stay_id": np.arange(STAYS),
            "split": "oof",
            "fold": 0,
            "predicted": False,
            "died": False,
        }
    )
    monkeypatch.setattr(attack_quality, "predictions", lambda _: stays)
    monkeypatch.setattr(attack_quality, "choose", lambda *_: (np.arange(STAYS), np.arange(0)))
    peers = {name: Method("adv-lib", "", attack) for name, (attack, _) in BAD.items()}
    peers["works"] = Method("adv-lib", "all cells", moves_all)
    monkeypatch.setattr(attack_quality, "PEERS", peers)
    monkeypatch.setattr(attack_quality, "OURS", {"l1": Method("ours", "", moves_all)})
    attack_quality.attack_all("tiny", tmp_path, [*peers, "l1"], STAYS)
    text = capsys.readouterr().out
    assert "10 stays, 10 survivors and 0 deaths" in text
    assert "| works | 100.0% (72.2–100.0) |" in text
    assert "| l1 | 100.0% (72.2–100.0) |" in text
    for name, (_, message) in BAD.items():
        assert f"failed: {name}: {message}" in text
        assert f"| {name} |" not in text


def test_the_timing_goes_on_after_a_peer_that_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = {"l1 fast": Method("ours", "", moves_all), "l0 fast": Method("ours", "", moves_all)}
    peers = {"FAB-L1 (50)": Method("adv-lib", "", moves_all), "VFGA": Method("adv-lib", "", raises)}
    monkeypatch.setattr(attack_speed, "TIMED", ours | peers)
    found = attack_speed.compared_with_peers([make_group()], repeats=2)
    assert set(found) == {"l1 fast", "l0 fast", "FAB-L1 (50)"}
    text = capsys.readouterr().out
    assert "ms per stay" in text
    assert "failed: VFGA: IndexError" in text
    assert "time l1 fast / FAB-L1 (50)" in text
    assert "l0 fast / VFGA" not in text
