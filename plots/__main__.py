"""Write the template of every figure to .dvc/plots: `make plots`."""

import importlib
import json
import pkgutil
from pathlib import Path

import plots

FOLDER = Path(__file__).parents[1] / ".dvc" / "plots"
SHARED = ("__main__", "curves", "frame", "headings", "heatmap", "intervals", "theme", "trials")


def templates() -> dict[str, str]:
    """The text of each template, by the name of the figure's module."""
    names = [m.name for m in pkgutil.iter_modules(plots.__path__) if m.name not in SHARED]
    figures = {name: importlib.import_module(f"plots.{name}").FIGURE for name in names}
    return {
        name: json.dumps(figure.to_dict(), indent=1, ensure_ascii=False) + "\n"
        for name, figure in figures.items()
    }


def main() -> None:
    """Replace the templates in FOLDER."""
    found = templates()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, text in found.items():
        (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
