import torch
from attack_models import Logits, Recurrent, box, linear_case, margins, smallest_l0, two_layers

from icu_adversarial.attack.algorithms.exchange import exchange
from icu_adversarial.attack.algorithms.l1 import l1
from icu_adversarial.attack.algorithms.settings import L1Settings
from icu_adversarial.attack.algorithms.supports import Samples, grow
from icu_adversarial.attack.api import Example


def samples(model: Logits, x: torch.Tensor, y: torch.Tensor) -> Samples:
    low, high = -x.flatten(1), 1 - x.flatten(1)
    return Samples(model, x, y, low, high, tuple(x.shape[1:]))


def test_of_a_linear_model_it_adds_the_fewest_cells() -> None:
    x, y, weight, model = linear_case(100, 6, 5)
    grown = grow(
        samples(model, x, y),
        iterations=100,
        share=torch.full_like(y, 0.01, dtype=x.dtype),
    )  # one cell at a time
    assert (margins(model, x + grown.perturbation, y) < 0).all()
    cells = (grown.perturbation != 0).flatten(1).sum(1)
    assert cells.tolist() == smallest_l0(x, y, weight, margins(model, x, y)).tolist()
    assert torch.equal(grown.iteration, cells.int())


def test_every_cell_is_at_an_end_of_its_box() -> None:
    x, y, model = two_layers(50, 6, 5, 0)
    P = grow(
        samples(model, x, y),
        iterations=100,
        share=torch.full_like(y, 0.34, dtype=x.dtype),
    ).perturbation
    ends = (-x == P) | (1 - x == P) | (P == 0)
    assert ends.all()


def test_an_exchange_drops_all_cells_but_the_fewest_that_flip_a_linear_model() -> None:
    x, y, weight, model = linear_case(100, 6, 5)
    every = samples(model, x, y)
    downhill = torch.where(weight * torch.where(y == 1, 1, -1)[:, None] > 0, every.low, every.high)
    best = Example(downhill.view_as(x).clone(), torch.zeros_like(y, dtype=torch.int32))
    exchange(every, best, iterations=100, candidates=16, patience=2)
    assert (margins(model, x + best.perturbation, y) < 0).all()
    assert (best.perturbation != 0).flatten(1).sum(1).tolist() == smallest_l0(
        x, y, weight, margins(model, x, y)
    ).tolist()


def test_l1_begins_once_more_there_where_it_finds_no_example() -> None:
    gives_up = L1Settings(unflipped=0)  # after its first pass
    model = Recurrent(5, 32)
    x = torch.rand(60, 6, 5, generator=torch.Generator().manual_seed(0))
    y = model.calibrate(x)
    without, with_growth = (
        l1(model, x, y, **box(x), iterations=40, growth=growth, settings=gives_up).best
        for growth in (False, True)
    )
    assert (without.iteration < 0).any()
    assert (with_growth.iteration > 0).all()
    assert (margins(model, x + with_growth.perturbation, y) < 0).all()
