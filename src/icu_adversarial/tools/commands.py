"""The commands of the tools. `cli` adds them to its own. Imports lazily and holds no logic."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from icu_adversarial.config.params import load_params

app = typer.Typer()
RunName = Annotated[str, typer.Argument(help="A Git revision, an experiment of DVC, or workspace.")]


@app.command()
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            help="challenge2012, mimiciii-demo, mimic-iv-demo or eicu-demo. For mimiciii, mimiciv"
            " and eicu the command explains how to get them."
        ),
    ],
    base_url: Annotated[
        str,
        typer.Option(
            envvar="PHYSIONET_BASE_URL",
            help="The web folder of all projects: PhysioNet or a mirror.",
        ),
    ] = "https://physionet.org/files",
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Seconds without a byte after which a connection counts as broken.",
        ),
    ] = 60,
) -> None:
    """Download an open data set. It goes to data/raw/NAME. A later call continues it."""
    typer.echo(
        import_module("icu_adversarial.tools.fetch").fetch(
            name, Path("data/raw"), base_url, timeout
        )
    )


@app.command()
def validate(
    raw: Annotated[
        Path, typer.Argument(help="A folder, a DuckDB, SQLite or .url file, as for extract.raw.")
    ],
    source: Annotated[
        str | None, typer.Option(help="As for extract.source. Without it, the tables decide.")
    ] = None,
) -> None:
    """Check in seconds whether raw records can be read. Count the measurements."""
    params = load_params()
    lines = import_module("icu_adversarial.tools.validate").validate(
        raw, source, params.window_hours, params.extract.code_map, params.names
    )
    for line in lines:
        typer.echo(line)


@app.command()
def gate(old: RunName, new: RunName) -> None:
    """Compare two runs stay by stay. The exit code is 1 if the new one is worse."""
    shown, is_worse = import_module("icu_adversarial.tools.gate_table").judged(
        old, new, load_params()
    )
    for line in shown:
        typer.echo(line)
    raise typer.Exit(is_worse)


@app.command()
def watch(
    folder: Annotated[
        Path, typer.Option(help="The root of the repository whose runs are shown.")
    ] = Path(),
    once: Annotated[bool, typer.Option("--once", help="Print one picture and stop.")] = False,
) -> None:
    """Show what runs, how far it is and the time left."""
    import_module("icu_adversarial.tools.watch").watch(folder, once)


@app.command("plots_page")
def plots_page() -> None:
    """Write the page that shows `dvc plots` without a network."""
    import_module("icu_adversarial.tools.render").offline_page()


@app.command()
def figures(folder: Annotated[Path, typer.Argument(help="Where the PNG files go.")]) -> None:
    """Draw every figure of the last run as a PNG file."""
    for line in import_module("icu_adversarial.tools.render").figures(folder):
        typer.echo(line)
