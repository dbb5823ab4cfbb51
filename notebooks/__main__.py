"""Run the notebook and store its outputs: `python -m notebooks`."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent / "walkthrough.ipynb"


def execute(path: Path) -> nbformat.NotebookNode:
    """Run the cells of a notebook in its folder.

    Args:
        path: The notebook. The file is not changed.

    Returns:
        The notebook with new outputs.

    Raises:
        CellExecutionError: A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    notebook.metadata["language_info"] = {"name": "python"}  # no version of Python
    return notebook


def main() -> None:
    """Replace the outputs in the file."""
    nbformat.write(execute(NOTEBOOK), NOTEBOOK)


if __name__ == "__main__":
    main()
