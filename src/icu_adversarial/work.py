"""The commands `work tune_model` and `work tune_attack`: help with a search that others began too.

The searches are on the server that ICU_STUDY_STORAGE names. `cli` adds the commands.
"""

import os
from importlib import import_module
from typing import Annotated

import typer

from icu_adversarial.config.base import Objective
from icu_adversarial.config.params import load_params
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.log import logged

app = typer.Typer(no_args_is_help=True, help="Help with a search on a server, as one of many.")


@app.command("tune_model")
def tune_model() -> None:
    """Run trials of the search for the network until it has all its trials."""
    _join("tune_model")


@app.command("tune_attack")
def tune_attack(
    objective: Annotated[Objective, typer.Option(help="What a best attack maximises.")],
) -> None:
    """Run trials of the search for the attack until it has all its trials."""
    _join("tune_attack", objective=objective)


def _join(stage: str, **options: str) -> None:
    """Run the search of a stage, and leave it to the stage itself to write the result."""
    if not os.environ.get("ICU_STUDY_STORAGE"):
        raise InputError(
            f"work {stage}: set ICU_STUDY_STORAGE to a PostgreSQL server: a search in a local "
            "journal has one worker, the stage itself"
        )
    params = load_params()
    task = os.environ.get("SLURM_ARRAY_TASK_ID")  # each worker of an array job has its own log
    with logged("_".join(filter(None, ["work", stage, *options.values(), task]))):
        import_module(f"icu_adversarial.stages.{stage}").search(params, **options)
