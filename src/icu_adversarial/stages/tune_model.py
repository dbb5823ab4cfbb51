"""Search the network's hyperparameters by cross-validation within the training subjects; the test set is not touched."""

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, write_csv, write_json
from icu_adversarial.core.resume import resumable
from icu_adversarial.core.schemas import COHORT, read_table
from icu_adversarial.model.tuning import search_network
from icu_adversarial.search.figures import figure_tables, trials_table
from icu_adversarial.search.live import LiveStudy
from icu_adversarial.search.study import write_study

ROOMS = ("core", "measurements", "features", "model", "search")


def run(params: Params) -> None:
    options = params.tune_model
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    training = ~cohort["is_test"].to_numpy()
    blocks = [
        options.model_dump_json(exclude={"trials"}),
        params.model.model_dump_json(),
        params.features.model_dump_json(),
    ]
    files = (paths.GRID, paths.COHORT)
    label, metrics = params.extract.label, paths.METRICS / "tune_model"
    with resumable("tune_model", *blocks, *files, rooms=ROOMS, keep=True) as state:
        live = LiveStudy(metrics, "minimize", source=label)
        searched = (cohort[training], grid[training], state, live.update)
        trials = search_network(params, *searched) if options.trials else []
        best = write_study(paths.TUNE_MODEL, trials, "minimize", params.model.model_dump())

    for name, figure in figure_tables(trials, "minimize").items():
        write_csv(metrics / "plots" / f"{name}.csv", figure.assign(source=label))
    table = trials_table(trials)
    found = {
        "epochs": 0,
        "best_held_out_loss": best["value"],
        "best_auroc": None,
        "best_auprc": None,
    }
    if trials:
        found |= {"epochs": int(table["epochs"].sum())} | {
            f"best_{name}": float(table[name][best["trial"]]) for name in ("auroc", "auprc")
        }
    write_json(
        metrics / "metrics.json",
        {
            "source": label,
            "trials": len(table),
            "trials_pruned": int((table["state"] == "pruned").sum()),
            **found,
            "best": best["hyperparameters"],
        },
    )
