"""How often examples reach the cap, and the captions of the figures."""

import numpy as np
import pytest
from analysis_tables import Attack
from literature_set import NAMES

from icu_adversarial.analyze.captions import notes, reach, what_differs


def test_reach_by_hand(attack: Attack) -> None:
    """First examples of 0→1 have the largest |P| 0.5, 0.3 and 0.8 and six cells in all."""
    found = reach(attack.examples, attack.perturbations, 0.5, 1, 912).set_index(
        ["direction", "kind"]
    )
    first = found.loc["0→1", "first"]
    assert (first.attacked, first.examples) == (4, 3)
    assert first.capped_examples == pytest.approx(2 / 3)
    assert first.capped_cells == pytest.approx(2 / 6)
    assert found.loc["1→0", "best"].capped_examples == 1
    assert np.isnan(found.loc["1→0", "first"].capped_examples)


def test_a_size_that_float32_rounds_below_the_cap_has_reached_it(attack: Attack) -> None:
    nearly = attack.examples.assign(linf=np.float32(0.3))
    found = reach(nearly, attack.perturbations, 0.30000001192, 1, 912)
    assert found.capped_examples.dropna().eq(1).all()


def test_examples_that_the_filter_leaves_out_do_not_count(attack: Attack) -> None:
    found = reach(attack.examples, attack.perturbations, 0.5, 2, 2)
    assert found.examples.tolist() == [1, 0, 0, 0]
    assert found.capped_cells[0] == 0.5


def test_a_note_names_the_numbers_and_how_often_the_cap_binds(attack: Attack) -> None:
    found = notes(reach(attack.examples, attack.perturbations, 0.5, 1, 912), 0.5, "mimiciii", NAMES)
    assert found == {
        ("0→1", "first"): "First examples: 3 of 4 stays; 67% at the cap of 0.5.",
        ("0→1", "best"): "Best examples: 3 of 4 stays; 33% at the cap of 0.5.",
        ("1→0", "first"): "First examples: 0 of 1 stays; cap 0.5.",
        ("1→0", "best"): "Best examples: 1 of 1 stays; 100% at the cap of 0.5.",
    }


def test_a_note_without_a_cap_says_so(attack: Attack) -> None:
    reached = reach(attack.examples, attack.perturbations, None, 1, 912)
    assert reached[["capped_examples", "capped_cells"]].isna().all(axis=None)
    assert notes(reached, None, "mimiciii", NAMES)["0→1", "best"] == (
        "Best examples: 3 of 4 stays; no cap."
    )


def test_a_note_says_what_a_name_means_in_these_data(attack: Attack) -> None:
    reached = reach(attack.examples, attack.perturbations, None, 1, 912)
    sentence = "spo2: arterial SaO2 of blood gases, not pulse oximetry."
    assert notes(reached, None, "challenge2012", NAMES)["0→1", "best"].endswith(sentence)
    assert what_differs("mimiciii", NAMES) == []
    assert what_differs("challenge2012", NAMES) != []
    both = what_differs("challenge2012", (*NAMES, "sao2"))
    assert not [line for line in both if line.startswith("spo2")]  # sao2 has these values then
