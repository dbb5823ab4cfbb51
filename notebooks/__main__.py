"""Run the notebook and store its outputs: `python -m notebooks`."""

import base64
import struct
import zlib
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


def compress(png: bytes) -> bytes:
    """Compress a PNG file better. The pixels stay the same."""
    place, header, data = 8, b"", b""
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        content = png[place + 8 : place + 8 + length]
        header, data = (content if kind == b"IHDR" else header), data + content * (kind == b"IDAT")
        place += 12 + length
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(zlib.decompress(data), 9)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )
    return png[:8] + b"".join(chunks)


def main() -> None:
    """Replace the outputs in the file."""
    notebook = execute(NOTEBOOK)
    for cell in notebook.cells:
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "image/png" in data:
                smaller = compress(base64.b64decode(data["image/png"]))
                data["image/png"] = base64.b64encode(smaller).decode()
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
