"""The size and sparsity of our attacks, compared with adv-lib, foolbox and ART on real stays.

Every result is checked again on the unmodified network. The tables are Markdown. There is one for
each number of stays, with the norms over the stays that all its methods flip. A method of another
project that crashes, or whose result is invalid, is reported as failed.

make peers               # the environment of the other projects' attacks, once (peers.txt)
.peers/bin/python benchmarks/attack_quality.py CHALLENGE_FOLDER --work FOLDER    # 512 stays
.peers/bin/python benchmarks/attack_quality.py CHALLENGE_FOLDER --stays 64 \\
    --methods l1 l0 FAB-L1 VFGA                                                  # a small table

The first command takes hours on one core and minutes on a GPU. The bars apply to `l1` and `l0` with
their longest search (attack_peers.SETTINGS). `pipeline` has the starts and candidates of
params.yaml. `fast` is what attack_speed.py measures.

Three networks are trained first (attack_victims.RECIPES). The results of other projects are stored
in FOLDER after every batch, so a stopped run continues, and a larger --stays adds to them. Our
attacks always run again. For each stay, a method is compared with the best result of all methods.
ElasticNet and Brendel-Bethge are slow and get 64 of the stays. Passes include the samples that our
attacks repeat to fill a small batch.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as in src/run.py, before torch is imported

import numpy as np
import pandas as pd
import torch
from attack_peers import INPUTS, OURS, PEERS, SUN, Method, chunks, run, tuned_prior
from attack_tables import PeerError, check_result, print_tables, share
from attack_victims import RECIPES, choose, groups, predictions, train, workplace

from icu_adversarial.attack.tasks import choose_stays
from icu_adversarial.core.parallel import prepare_worker

METHODS = (*OURS, *PEERS, "prior", "sun")


def attack(
    method: Method, file: Path, models: Path, predicted: pd.DataFrame, stay_ids: np.ndarray
) -> pd.DataFrame:
    """One row per stay. Stays with a row in `file` are not attacked again."""
    done = (
        pd.read_parquet(file)
        if file.exists()
        else pd.DataFrame({"stay_id": np.array([], np.int64)})
    )
    missing = stay_ids[~np.isin(stay_ids, done["stay_id"])]
    for group in chunks(groups(models, predicted, missing), INPUTS):
        rows = pd.DataFrame(
            {"stay_id": group.stay_id, "y": group.y.cpu().numpy(), **run(method, group)._asdict()}
        )
        done = pd.concat([done, rows], ignore_index=True)
        done.to_parquet(file)
    return done[done["stay_id"].isin(stay_ids)].set_index("stay_id").sort_index()


def report(
    results: dict[str, pd.DataFrame], methods: dict[str, Method], failed: dict[str, str]
) -> None:
    """Print the tables of a victim, then the bars of our attacks."""
    norms = {
        norm: pd.DataFrame(
            {name: r[norm].where(r["success"], np.inf) for name, r in results.items()}
        )
        for norm in ("l1", "l0")
    }
    near = {"l1": near_best(norms["l1"], 1.01), "l0": near_best(norms["l0"], 1)}
    about = {
        name: {
            "cells above 1e-3": f"{r.loc[r['success'], 'l0_visible'].mean():.2f}",
            **{f"best {norm.upper()}, % (95 %)": share(near[norm][name]) for norm in near},
            "project": methods[name].project,
            "settings": methods[name].settings,
        }
        for name, r in results.items()
    }
    print_tables(results, about, failed)
    print("cells above 1e-3: mean number over the stays that the method flips.")
    print("best L1: share of the stays within 1 % of the smallest norm that any method found.")
    print("best L0: share of the stays with the smallest number of cells that any method found.")
    for name in (name for name in ("l1", "l0") if name in results):
        print(f"{name}:")
        bars(name, results, norms, float(near[name][name].mean()))


def near_best(norm: pd.DataFrame, slack: float) -> dict[str, pd.Series]:
    """Per method (column), whether each of its stays is within `slack` of the best norm.

    Args:
        norm: inf for a stay that is not flipped, NaN for a stay that was not attacked.
    """
    near = norm.le(norm.min(axis=1) * slack + 1e-9, axis=0) & np.isfinite(norm)
    return {name: near.loc[norm[name].notna(), name] for name in norm}


def bars(
    name: str, results: dict[str, pd.DataFrame], norms: dict[str, pd.DataFrame], best: float
) -> None:
    """Print whether an attack reaches its bars.

    Args:
        name: l1 or l0, which is also the norm that it minimises.
        best: Share of the stays where it is as good as the best known result.
    """
    r, others = results[name], [other for other in results if other not in OURS]

    def ratio(norm: str, other: str) -> float:
        """The ratio of the means over the stays that both methods flip."""
        both = np.isfinite(norms[norm][[name, other]]).all(axis=1)
        return float(norms[norm].loc[both, name].mean() / norms[norm].loc[both, other].mean())

    bar("success", r["success"].mean(), at_least=0.995)
    if others:
        lead = min(
            r.loc[results[other].index, "success"].mean() - results[other]["success"].mean()
            for other in others
        )
        bar("success less that of the best other method, on its stays", lead, at_least=0)
    bar(
        f"share of the stays {'within 1 % of' if name == 'l1' else 'equal to'} the best known {name.upper()}",
        best,
        at_least=0.97,
    )
    bar(
        "share of the stays with a cell above 1e-6 but not above 1e-3",
        (r["l0"] != r["l0_visible"]).mean(),
        at_most=0,
    )
    bar(
        "share of the stays with such cells that the flip does not need",
        r["needless"].mean(),
        at_most=0,
    )
    limits = (
        [("l1", "FAB-L1", 1.0)]
        if name == "l1"
        else [("l0", "sigma-zero", 0.97), ("l1", "VFGA", 1.0)]
    )
    for norm, other, most in limits:
        if other in results:
            bar(f"mean {norm.upper()} / that of {other}", ratio(norm, other), at_most=most)
    if name == "l0":
        flipped = np.isfinite(norms["l0"][name])
        least = norms["l0"].min(axis=1)[flipped].mean()
        bar("mean L0 / the best known", norms["l0"].loc[flipped, name].mean() / least, at_most=1.01)


def bar(text: str, value: float, *, at_least: float = -np.inf, at_most: float = np.inf) -> None:
    limit = f"at least {at_least:g}" if np.isfinite(at_least) else f"at most {at_most:g}"
    print(
        f"  {text}: {value:.3f} (bar: {limit}): {'yes' if at_least <= value <= at_most else 'NO'}"
    )


def attack_all(name: str, models: Path, wanted: Sequence[str], stays: int) -> None:
    """Attack one victim with the methods, in the given order, and print its table."""
    predicted = predictions(models)
    chosen, tuning = choose(predicted, stays)
    folder = Path("results", name)
    folder.mkdir(parents=True, exist_ok=True)
    methods = OURS | PEERS | {"sun": SUN}
    results: dict[str, pd.DataFrame] = {}
    failed: dict[str, str] = {}
    for method_name in wanted:
        if method_name == "prior":
            methods["prior"] = tuned_prior(folder / "prior.json", groups(models, predicted, tuning))
        method, file = methods[method_name], folder / f"{method_name}.parquet"
        if method_name in OURS:
            file.unlink(missing_ok=True)
        some = predicted[predicted["stay_id"].isin(chosen)]
        few = choose_stays(
            some, max_stays=min(method.stays, stays), attack_misclassified=False, seed=0
        )["stay_id"].to_numpy()
        try:
            found = attack(method, file, models, predicted, few)
            check_result(found)
            results[method_name] = found
        except PeerError as error:
            failed[method_name] = str(error)
        print(f"  {name}: {method_name} done", file=sys.stderr, flush=True)
    deaths = int(predicted.set_index("stay_id").loc[chosen, "died"].sum())
    print(f"\n{name}: {len(chosen)} stays, {len(chosen) - deaths} survivors and {deaths} deaths")
    report(results, methods, failed)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "raw", type=Path, help="folder with set-a.tar.gz, set-b.tar.gz and their Outcomes"
    )
    parser.add_argument(
        "--work", type=Path, help="for networks and results; a temporary folder by default"
    )
    parser.add_argument("--stays", type=int, default=512)
    parser.add_argument("--victims", nargs="*", choices=RECIPES, default=list(RECIPES))
    parser.add_argument(
        "--models",
        type=Path,
        nargs="*",
        default=[],
        help="data/train/models of trained pipelines, as further victims",
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    arguments = parser.parse_args()
    trained = [models.resolve() for models in arguments.models]
    prepare_worker()
    torch.backends.cudnn.allow_tf32 = False  # TF32 has 10 bits, which are too few for a margin
    with workplace(arguments.raw, arguments.work) as params:
        victims = {name: train(name, params) for name in arguments.victims} | {
            models.parents[2].name: models for models in trained
        }
        for name, models in victims.items():
            attack_all(name, models, arguments.methods, arguments.stays)


if __name__ == "__main__":
    main()
