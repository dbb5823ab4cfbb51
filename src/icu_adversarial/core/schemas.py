"""The tables that one stage writes and another reads: columns, types and units.

Reading and writing check them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import atomic

MEASUREMENT = pa.dictionary(pa.int8(), pa.string())
FLAG, HOURS, TEXT = pa.bool_(), pa.float32(), pa.string()

# One row per ICU stay, sorted by stay_id. Hours are counted from the ICU admission and are null
# where they are unknown. age: years, where 90 means 90 or more. subject_order: 1, 2, ... by ICU
# admission, over all ICU stays of the subject. died: in the hospital. icu_died: in the ICU, before
# this stay ended. Both are null where the source does not say. death_day: day of death anywhere,
# where 0 is the day of ICU admission. followed_days: a subject without a recorded death was alive
# until this day.
STAYS = pa.schema(
    [
        pa.field("stay_id", pa.int64(), nullable=False),
        pa.field("subject_id", pa.int64(), nullable=False),
        ("hadm_id", pa.int64()),
        pa.field("subject_order", pa.int16(), nullable=False),
        pa.field("source_group", TEXT, nullable=False),
        ("age", pa.float32()),
        ("sex", TEXT),
        ("icu_type", TEXT),
        ("admit_hour", HOURS),
        ("discharge_hour", HOURS),
        ("out_hour", HOURS),
        ("death_hour", HOURS),
        ("died", FLAG),
        ("icu_died", FLAG),
        ("death_day", pa.int32()),
        ("followed_days", pa.int32()),
    ]
)
# One row per charted value in the window, in the unit of the room measurements. Sorted by stay_id,
# hour, measurement (by name) and value.
EVENTS = pa.schema(
    [
        pa.field("stay_id", pa.int64(), nullable=False),
        pa.field("hour", HOURS, nullable=False),
        pa.field("measurement", MEASUREMENT, nullable=False),
        pa.field("value", pa.float32(), nullable=False),
    ]
)
# Values of a column `fold` that name no fold: the models of all folds together, and a model from a
# file.
ENSEMBLE, FILE = -1, -2
# One row per stay of the cohort, in the order of grid.npy. fold is -1 for stays of the test set.
# weight, height: in kg and cm, null unless they are among `measurements` of params.yaml.
COHORT = pa.schema(
    [
        pa.field("stay_id", pa.int64(), nullable=False),
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("died", FLAG, nullable=False),
        ("age", pa.float32()),
        ("sex", TEXT),
        ("icu_type", TEXT),
        ("weight", pa.float32()),
        ("height", pa.float32()),
        pa.field("source_group", TEXT, nullable=False),
        pa.field("is_test", FLAG, nullable=False),
        pa.field("fold", pa.int8(), nullable=False),
    ]
)
# One row per stay of the cohort. split "oof": out of fold, by the model of `fold`, which never saw
# the subject. split "test": by the ensemble, with fold -1. The threshold is part of the logits:
# predicted = logit_1 > logit_0. probability: of death, at the prevalence of the cohort.
PREDICTIONS = pa.schema(
    [
        pa.field("stay_id", pa.int64(), nullable=False),
        pa.field("split", TEXT, nullable=False),
        pa.field("fold", pa.int8(), nullable=False),
        pa.field("probability", pa.float32(), nullable=False),
        pa.field("logit_0", pa.float32(), nullable=False),
        pa.field("logit_1", pa.float32(), nullable=False),
        pa.field("predicted", FLAG, nullable=False),
        pa.field("died", FLAG, nullable=False),
    ]
)
# One row per attacked stay and kind, which is "first" or "best". direction: 0→1 (a survivor is
# predicted to die) or 1→0. l1, linf: in model input units. margin: the logit of the class before
# the attack minus the other logit, below 0 for a success. A failure has iteration -1 and null
# norms.
EXAMPLES = pa.schema(
    [
        pa.field("stay_id", pa.int64(), nullable=False),
        pa.field("fold", pa.int8(), nullable=False),
        pa.field("direction", TEXT, nullable=False),
        pa.field("kind", TEXT, nullable=False),
        pa.field("success", FLAG, nullable=False),
        pa.field("iteration", pa.int32(), nullable=False),
        ("l0", pa.int32()),
        ("l1", pa.float32()),
        ("linf", pa.float32()),
        ("margin", pa.float32()),
    ]
)
# The perturbed cells of the successful examples, sorted by stay_id, kind, hour and measurement (in
# the order of the columns). delta: in model input units. delta_clinical: in the unit of the
# measurement. observed: whether the cell has a measured value.
PERTURBATIONS = pa.schema(
    [
        pa.field("stay_id", pa.int64(), nullable=False),
        pa.field("kind", TEXT, nullable=False),
        pa.field("hour", pa.int8(), nullable=False),
        pa.field("measurement", MEASUREMENT, nullable=False),
        pa.field("delta", pa.float32(), nullable=False),
        pa.field("delta_clinical", pa.float32(), nullable=False),
        pa.field("observed", FLAG, nullable=False),
    ]
)
# The values that examples in the record space edit, sorted as PERTURBATIONS; both in `unit`.
EDITS = pa.schema(
    [
        pa.field("stay_id", pa.int64(), nullable=False),
        pa.field("kind", TEXT, nullable=False),
        pa.field("hour", HOURS, nullable=False),
        pa.field("measurement", MEASUREMENT, nullable=False),
        pa.field("recorded", pa.float32(), nullable=False),
        pa.field("edited", pa.float32(), nullable=False),
        pa.field("unit", TEXT, nullable=False),
    ]
)


def measurement_column(codes: np.ndarray | pa.Array, names: Sequence[str]) -> pa.DictionaryArray:
    """Numbers of measurements, in the order of `names`, as a dictionary column of names."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(names))


def to_table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Convert a frame to an Arrow table.

    Args:
        frame: Has at least the columns of `schema`.
        schema: The columns and types of the result.

    Raises:
        InputError: A column is missing, has a wrong type, or has a null where none is allowed.
    """
    missing = [name for name in schema.names if name not in frame]
    if missing:
        raise InputError(
            f"a table lacks the columns {', '.join(missing)}:"
            f" found {', '.join(map(str, frame.columns))}"
        )
    try:
        table = pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError) as error:
        raise InputError(f"a column has a wrong type: {' '.join(str(error).split())}") from None
    return table.replace_schema_metadata(None)


def write_table(path: Path, content: pd.DataFrame | pa.Table, schema: pa.Schema) -> None:
    """Write a Parquet file completely or not at all.

    Raises:
        InputError: The content does not have the columns of `schema`.
    """
    table = content if isinstance(content, pa.Table) else to_table(content, schema)
    _check(table.schema, schema, path)
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def write_batches(
    path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int = 1 << 20
) -> None:
    """Write batches to a Parquet file, completely or not at all.

    Args:
        path: The file.
        batches: The content, which need not fit into memory.
        schema: The columns and types.
        rows: Rows of a row group. The bytes do not depend on the sizes of the batches.

    Raises:
        InputError: A batch does not have the columns of `schema`.
    """
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            _check(batch.schema, schema, path)
            waiting.append(batch)
            while sum(map(len, waiting)) >= rows:
                table = pa.Table.from_batches(waiting)
                writer.write_table(table[:rows], row_group_size=rows)
                waiting = table[rows:].to_batches()
        if sum(map(len, waiting)):
            writer.write_table(pa.Table.from_batches(waiting), row_group_size=rows)


def read_table(path: Path, schema: pa.Schema) -> pd.DataFrame:
    """Read a Parquet file.

    Raises:
        InputError: The file is missing, is unreadable, or does not have the columns of `schema`.
    """
    with _reading(path, schema) as file:
        return file.read().to_pandas()


def read_batches(path: Path, schema: pa.Schema, rows: int = 1 << 16) -> Iterator[pa.RecordBatch]:
    """Read a Parquet file in batches of at most `rows`. It need not fit into memory.

    Raises:
        InputError: The file is missing, is unreadable, or does not have the columns of `schema`.
    """
    with _reading(path, schema) as file:
        yield from file.iter_batches(rows)


@contextmanager
def _reading(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            _check(file.schema_arrow, schema, path)
            yield file
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `dvc repro`") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is not Parquet ({error}): run `dvc repro`") from None


def _check(found: pa.Schema, expected: pa.Schema, path: Path) -> None:
    if not found.equals(expected):
        wrong = [
            f"{f.name} {f.type}"
            for f in expected
            if f.name not in found.names or found.field(f.name).type != f.type
        ]
        raise InputError(
            f"{path}: expected the columns {', '.join(wrong) or expected.names},"
            f" found {', '.join(f'{f.name} {f.type}' for f in found)}"
        )
