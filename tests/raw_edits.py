"""Edit raw records as edits.parquet says: one function for each form of raw tables."""

from pathlib import Path

import pandas as pd

from icu_adversarial.measurements import DICTIONARY


def edit_challenge(folder: Path, edits: pd.DataFrame) -> int:
    """Edit the text files of a set. Returns the number of edited rows."""
    done = 0
    for stay_id, own in edits.groupby("stay_id"):
        (file,) = folder.glob(f"set-*/{stay_id}.txt")
        rows = pd.read_csv(file, dtype=str, keep_default_na=False)
        clock = rows["Time"].str.split(":", expand=True).astype(float)
        hour, value = clock[0] + clock[1] / 60, pd.to_numeric(rows["Value"], errors="coerce")
        done += _edit(rows, "Value", own, hour, value, rows["Parameter"], "challenge2012")
        rows.to_csv(file, index=False)
    return done


def keep_chartevents(folder: Path) -> None:
    """Leave out the rows of chartevents that no measurement reads, so that reading is fast."""
    codes = {c for m in DICTIONARY.values() for e in m.mimic for c in e.codes}
    rows = pd.read_csv(folder / "chartevents.csv", dtype=str, keep_default_na=False)
    rows[rows["itemid"].isin(codes)].to_csv(folder / "chartevents.csv", index=False)


def edit_mimic3(folder: Path, edits: pd.DataFrame) -> int:
    """Edit the CSV files of MIMIC-III in a folder. Returns the number of edited rows."""
    stays = pd.read_csv(folder / "icustays.csv").set_index("icustay_id")
    done = 0
    for table in ("chartevents", "labevents"):
        rows = pd.read_csv(folder / f"{table}.csv", dtype=str, keep_default_na=False)
        time, number = pd.to_datetime(rows["charttime"]), pd.to_numeric(rows["valuenum"])
        subject = rows["subject_id"].astype(int)
        for stay_id, own in edits.groupby("stay_id"):
            stay = stays.loc[stay_id]
            part = rows[subject == stay.subject_id]
            hour = (time[part.index] - pd.Timestamp(stay.intime)).dt.total_seconds() / 3600
            value = number[part.index]
            done += _edit(part, "valuenum", own, hour, value, part["itemid"], "mimic")
            rows.loc[part.index, "valuenum"] = part["valuenum"]
        rows.to_csv(folder / f"{table}.csv", index=False)
    return done


def _edit(
    rows: pd.DataFrame,
    column: str,
    edits: pd.DataFrame,
    hour: pd.Series,
    value: pd.Series,
    code: pd.Series,
    source: str,
) -> int:
    """Edit the rows of a stay. Identical rows are one value, so all of them are edited."""
    done = 0
    for edit in edits.itertuples():
        for entry in getattr(DICTIONARY[edit.measurement], source):
            stored = (value - 32) / 1.8 if entry.fahrenheit else value * entry.factor
            found = (
                code.isin(entry.codes)
                & ((hour - edit.hour).abs() < 1e-4)
                & ((stored - edit.recorded).abs() < 1e-5 * max(1, abs(edit.recorded)))
            )
            new = edit.edited * 1.8 + 32 if entry.fahrenheit else edit.edited / entry.factor
            rows.loc[found, column] = repr(float(new))
            done += int(found.any())
    return done
