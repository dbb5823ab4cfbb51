"""`python -m docs.generate`: write the generated pages of docs/."""

from pathlib import Path

from docs.generate import configuration, measurements, outputs

FOLDER = Path(__file__).parents[1]


def pages() -> dict[str, str]:
    """The text of each generated page by its file name in docs/."""
    return {
        "configuration.md": configuration.page(),
        "measurements.md": measurements.page(),
        "outputs.md": outputs.page(),
    }


def main() -> None:
    """Replace the generated pages."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
