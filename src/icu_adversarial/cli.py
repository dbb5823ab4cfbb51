"""The command line: one command per DVC stage, and helpers. Imports lazily and holds no logic."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

import icu_adversarial
from icu_adversarial import work
from icu_adversarial.config.base import Objective
from icu_adversarial.config.params import load_params
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.log import logged
from icu_adversarial.core.paths import SUMMARY
from icu_adversarial.tools import commands

# Errors of joblib (a worker was killed) and of torch (a GPU is full). They are compared by name,
# because most commands import neither library.
OUT_OF_MEMORY = ("TerminatedWorkerError", "OutOfMemoryError")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich calls the option --help a "--help <bool>"
)
app.add_typer(work.app, name="work")
ObjectiveOption = Annotated[Objective, typer.Option(help="What a best attack maximises.")]


def _run(stage: str, room: str = "stages", **options: str) -> None:
    """Call icu_adversarial.ROOM.STAGE.run(params, **options). It logs to logs/."""
    params = load_params()
    with logged("_".join([stage, *options.values()])):
        import_module(f"icu_adversarial.{room}.{stage}").run(params, **options)


@app.callback()
def _shared(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where in the code an error comes from.")
    ] = False,
) -> None:
    """A stage of the pipeline, a study or a helper."""
    # `main` reads --debug, so that it may also follow the command. Here it is for the help.


@app.command()
def synthesize() -> None:
    """Generate the synthetic hospital as raw MIMIC-III tables."""
    _run("synthesize")


@app.command()
def extract() -> None:
    """Raw records → one table of stays, one of events."""
    _run("extract")


@app.command()
def preprocess() -> None:
    """Stays and events → cohort, grid, folds and test set."""
    _run("preprocess")


@app.command("tune_model")
def tune_model() -> None:
    """Search the network's settings on the training subjects."""
    _run("tune_model")


@app.command()
def train() -> None:
    """Train one network per fold, and predict every stay."""
    _run("train")


@app.command()
def nested() -> None:
    """Search within each fold, and score what is found on it."""
    _run("nested", "studies")


@app.command()
def evaluate() -> None:
    """Score the network and the baselines. Out of fold, and on the held-out test set."""
    _run("evaluate")


@app.command("learning_curve")
def learning_curve() -> None:
    """Train on parts of the subjects, and score the networks."""
    _run("learning_curve", "studies")


@app.command()
def literature(
    row: Annotated[str, typer.Option(help="One of literature.rows in params.yaml.")],
) -> None:
    """Train a network of the literature on the same folds. It is scored as the network is."""
    _run("literature", "studies", row=row)


@app.command("literature_table")
def literature_table() -> None:
    """All models in one table, with the published numbers."""
    _run("literature_table", "studies")


@app.command("tune_attack")
def tune_attack(objective: ObjectiveOption) -> None:
    """Search the attack's settings on training stays."""
    _run("tune_attack", objective=objective)


@app.command()
def attack(objective: ObjectiveOption) -> None:
    """Attack stays with models that never saw their patients."""
    _run("attack", objective=objective)


@app.command()
def probe(objective: ObjectiveOption) -> None:
    """Measure the attack: scores, transfer, warnings."""
    _run("probe", objective=objective)


@app.command()
def analyze(objective: ObjectiveOption) -> None:
    """Perturbations → susceptibility maps."""
    _run("analyze", objective=objective)


@app.command()
def stress() -> None:
    """Everyday errors of the record → flipped predictions."""
    _run("stress")


@app.command()
def summarize() -> None:
    """Scores and attacks → the summary of the run."""
    _run("summarize")


@app.command()
def report() -> None:
    """Results → the report and the explorer of examples."""
    _run("report")


@app.command()
def summary() -> None:
    """Print the summary of the last run. It also says where the results are."""
    found, objectives = (
        import_module("icu_adversarial.core.io").read_json(SUMMARY),
        load_params().objectives,
    )
    try:
        shown = import_module("icu_adversarial.analyze.overview").lines(found, objectives)
    except (KeyError, TypeError):
        raise InputError(f"{SUMMARY} is not complete: run `dvc repro`") from None
    for line in shown:
        typer.echo(line)


app.registered_commands += commands.app.registered_commands


def _refuse_another_checkout() -> None:
    """Refuse to run the code of another checkout.

    A queued experiment runs in a copy of the repository. With the code of the original, DVC would
    record a wrong hash.
    """
    package = Path(icu_adversarial.__file__).resolve()
    if not package.is_relative_to(Path.cwd().resolve()):
        raise InputError(
            f"the code in {package.parent} is not of this checkout, {Path.cwd()}: "
            "run `python src/run.py` from the repository's root"
        )


def main() -> None:
    """Run the command line.

    The exit code is 0, 1 (an error of the input, reported in one line) or 2 (usage). `--debug`
    shows the traceback.
    """
    debug = "--debug" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        if not {"--help", "-h"} & set(arguments):
            _refuse_another_checkout()
        app(arguments)
    except (InputError, OSError, MemoryError, RuntimeError) as error:
        if debug or (isinstance(error, RuntimeError) and type(error).__name__ not in OUT_OF_MEMORY):
            raise
        typer.echo(f"error: {' '.join(str(error).split()) or type(error).__name__}", err=True)
        raise SystemExit(1) from None
