from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from literature_set import NAMES, M

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import (
    atomic,
    digest,
    read_array,
    read_json,
    write_csv,
    write_json,
    write_parts,
)
from icu_adversarial.core.schemas import (
    COHORT,
    EVENTS,
    measurement_column,
    read_batches,
    read_table,
    write_batches,
    write_table,
)


def cohort() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "stay_id": [1, 2],
            "subject_id": [1, 1],
            "died": [True, False],
            "age": [50.5, None],
            "sex": ["F", None],
            "icu_type": [None, "MICU"],
            "weight": [80.5, None],
            "height": [None, 170.0],
            "source_group": ["a", "a"],
            "is_test": [False, True],
            "fold": [0, -1],
        }
    )


def events(n: int) -> pa.RecordBatch:
    columns = [
        pa.array(np.arange(n)),
        pa.array(np.zeros(n, np.float32)),
        measurement_column(np.arange(n) % M, NAMES),
        pa.array(np.ones(n, np.float32)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=EVENTS)


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", cohort(), COHORT)
    found = read_table(tmp_path / "t.parquet", COHORT)
    assert found["stay_id"].tolist() == [1, 2]
    assert found["fold"].dtype == np.int8
    assert found["sex"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="fold"), "lacks the columns fold"),
        (lambda t: t.assign(fold=["x", "y"]), "wrong type"),
        (lambda t: t.assign(fold=[400, 1]), "wrong type"),
        (lambda t: t.assign(source_group=["a", None]), "wrong type"),
    ],
)
def test_a_table_that_breaks_its_contract_is_not_written(
    tmp_path: Path, change: object, message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        write_table(tmp_path / "t.parquet", change(cohort()), COHORT)  # type: ignore[operator]
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_the_table_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(InputError, match="is missing: run `dvc repro`"):
        read_table(path, COHORT)
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="is not Parquet"):
        read_table(path, COHORT)
    pq.write_table(pa.table({"stay_id": [1]}), path)
    with pytest.raises(InputError, match="expected the columns subject_id int64"):
        read_table(path, COHORT)


@pytest.mark.parametrize("sizes", [[], [1000], [1, 999], [300, 300, 300, 100]])
def test_streamed_bytes_do_not_depend_on_how_the_rows_arrive(
    tmp_path: Path, sizes: list[int]
) -> None:
    whole = events(sum(sizes))
    starts = np.cumsum([0, *sizes])
    write_batches(
        tmp_path / "a.parquet",
        (whole.slice(s, n) for s, n in zip(starts, sizes, strict=False)),
        EVENTS,
        rows=256,
    )
    write_batches(tmp_path / "b.parquet", [whole], EVENTS, rows=256)
    assert pq.read_table(tmp_path / "a.parquet").num_rows == sum(sizes)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize("sizes", [[], [0], [5], [1, 0, 4], [1] * 12])
def test_an_array_written_in_parts_is_what_numpy_writes_of_the_whole(
    tmp_path: Path, sizes: list[int]
) -> None:
    whole = np.random.default_rng(0).random((sum(sizes), 3, 2)).astype(np.float32)
    parts = np.split(whole, np.cumsum(sizes)[:-1]) if sizes else []
    assert write_parts(
        tmp_path / "parts.npy",
        (part.swapaxes(0, 1).copy().swapaxes(0, 1) for part in parts),
        (3, 2),
    ) == len(whole)
    np.save(tmp_path / "whole.npy", whole)
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_a_table_read_in_batches_is_the_table(tmp_path: Path) -> None:
    write_batches(tmp_path / "t.parquet", [events(1000)], EVENTS, rows=256)
    batches = list(read_batches(tmp_path / "t.parquet", EVENTS, rows=100))
    assert max(map(len, batches)) <= 100
    assert pa.Table.from_batches(batches).equals(pq.read_table(tmp_path / "t.parquet"))
    with pytest.raises(InputError, match="is missing: run `dvc repro`"):
        next(read_batches(tmp_path / "u.parquet", EVENTS))
    with pytest.raises(InputError, match="expected the columns"):
        next(read_batches(tmp_path / "t.parquet", COHORT))


def test_an_interrupted_write_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    def breaks() -> object:
        yield events(10)
        raise KeyboardInterrupt

    write_batches(tmp_path / "t.parquet", [events(3)], EVENTS)
    with pytest.raises(KeyboardInterrupt):
        write_batches(tmp_path / "t.parquet", breaks(), EVENTS)  # type: ignore[arg-type]
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]
    assert pq.read_table(tmp_path / "t.parquet").num_rows == 3
    with pytest.raises(OSError, match="full"), atomic(tmp_path / "u.json") as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise OSError("disk full")
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_json_arrays_and_figure_tables(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"age ≥ 18": 1.5})
    assert read_json(tmp_path / "a.json") == {"age ≥ 18": 1.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    np.save(tmp_path / "a.npy", np.arange(3))
    assert read_array(tmp_path / "a.npy").tolist() == [0, 1, 2]
    write_csv(tmp_path / "a.csv", pd.DataFrame({"x": [1 / 3, np.nan], "n": [1, 2]}))
    assert (tmp_path / "a.csv").read_text() == "x,n\n0.333333,1\n,2\n"
    for read, name in ((read_json, "none.json"), (read_array, "none.npy")):
        with pytest.raises(InputError, match="run `dvc repro`"):
            read(tmp_path / name)
    (tmp_path / "bad").write_text("{")
    for read in (read_json, read_array):
        with pytest.raises(InputError, match="is not"):
            read(tmp_path / "bad")


def test_digest_tells_contents_and_their_order_apart(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("ab")
    assert digest(tmp_path / "f") == digest("ab")
    assert len({digest("a", "b"), digest("ab"), digest("b", "a"), digest("a", b"c")}) == 4
