"""Write files completely or not at all, read them with clear errors, and check checkpoints."""

import glob
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from icu_adversarial.core.errors import InputError

SEAL = hashlib.sha256().digest_size  # bytes at the end of a checkpoint


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Write a file completely or not at all.

    Args:
        path: The file. Its folder is made if it is missing.

    Yields:
        A temporary path in the same folder. It is renamed to `path` on success and deleted
        otherwise. After a SIGKILL, the next `atomic` of this file deletes it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_of(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_of(path: Path) -> Path:
    """Where this process writes a file or folder before it is complete.

    What a process that was killed left in such a place is deleted.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        if is_running(left.suffixes[-2].removeprefix(".")):
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def is_running(process: str) -> bool:
    """Whether a process of this machine runs. Where that is unknown, it counts as running.

    Args:
        process: Its number as a text.
    """
    if sys.platform == "win32" or not process.isdecimal():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def write_json(path: Path, content: Any, *, exact: bool = False) -> None:
    """Write indented JSON.

    Args:
        path: The file.
        content: What `json` can write.
        exact: Whether numbers keep all digits. Otherwise they are rounded to six significant
            digits: the last digits of a result depend on the processor.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    rounded = content if exact else six_digits(content)
    text = json.dumps(rounded, indent=2, allow_nan=False, ensure_ascii=False)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def six_digits(content: Any) -> Any:
    """Round every float inside lists, tuples and dictionaries to six significant digits."""
    if isinstance(content, float):
        return float(f"{content:.6g}")
    if isinstance(content, Mapping):
        return {name: six_digits(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [six_digits(value) for value in content]
    return content


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `dvc repro`") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}): run `dvc repro`") from None


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write the table of a figure: six significant digits, empty where not available."""
    with atomic(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def discard(path: Path, found: str) -> None:
    """Delete a file or folder of an earlier run that cannot be used, and print a warning.

    Args:
        path: A file or a folder below `.state`.
        found: What is wrong with it, for example "is damaged".
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    print(
        f"warning: {path} {found}: it was deleted, and its part of the work is done again",
        file=sys.stderr,
    )


def clear_way(folder: Path) -> None:
    """Delete every file in the place of `folder` or of a folder above it."""
    for place in (*reversed(folder.parents), folder):
        if place.is_file():
            discard(place, "is not a folder")


def write_sealed(path: Path, content: bytes) -> None:
    """Write a checkpoint: `content`, followed by its SHA-256.

    Raises:
        OSError: The disk is full.
    """
    with atomic(path) as temporary:
        try:
            temporary.write_bytes(content + hashlib.sha256(content).digest())
        except OSError as error:  # the system does not name the file
            raise OSError(f"{path}: {error.strerror}") from None


def read_sealed(path: Path) -> bytes | None:
    """Read the content of a file of `write_sealed`.

    Args:
        path: The checkpoint.

    Returns:
        The content. None if there is no file, or if the file has changed since `write_sealed`
        or was not written by it. Such a file is deleted.
    """
    clear_way(path.parent)
    if path.is_dir():
        discard(path, "is a folder")
    if not path.exists():
        return None
    stored = path.read_bytes()
    content, seal = stored[:-SEAL], stored[-SEAL:]
    if hashlib.sha256(content).digest() != seal:
        discard(path, "is damaged")
        return None
    return content


def write_parts(file: Path, parts: Iterable[np.ndarray], shape: tuple[int, ...]) -> int:
    """Write several float32 arrays as one array, which need not fit into memory.

    Args:
        file: The file. It has the same bytes as np.save writes for the whole array.
        parts: The arrays, each (n, *shape).
        shape: The shape of one row.

    Returns:
        The number of rows.
    """
    rows = 0
    with file.open("wb") as stream:
        _write_header(stream, (0, *shape))
        for part in parts:
            stream.write(np.ascontiguousarray(part, np.float32).data)
            rows += len(part)
        stream.seek(0)
        # NumPy leaves space for the number of rows, so the header has the same length as before.
        _write_header(stream, (rows, *shape))
    return rows


def _write_header(stream: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )


def read_array(path: Path) -> np.ndarray:
    """Map an array into memory, read-only.

    Raises:
        InputError: The file is missing or is not an array.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `dvc repro`") from None
    except ValueError as error:
        raise InputError(f"{path} is not a NumPy array ({error}): run `dvc repro`") from None


def digest(*parts: bytes | str | Path) -> str:
    """The SHA-256 of byte strings, texts and the contents of files, in the given order."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with part.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
        else:
            content = hashlib.sha256(part.encode() if isinstance(part, str) else part).digest()
        total.update(content)
    return total.hexdigest()
