from __future__ import annotations  # evaluated, they would make DuckDB report leaks at exit

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from literature_set import MEASUREMENTS, NAMES
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from icu_adversarial.config.params import Params, load_params
from icu_adversarial.core.paths import SYNTHETIC
from icu_adversarial.stages import synthesize
from icu_adversarial.synthetic import hospital
from icu_adversarial.synthetic.hospital import SCHEMAS, generate

TABLES = tuple(SCHEMAS)
STAYS = 3000
AGE = "date_diff('day', dob, intime) / 365.2425"
ADULTS_FOR_48_HOURS = f"""{AGE} >= 18 AND dischtime - admittime >= INTERVAL 24 HOUR AND outtime - intime >= INTERVAL 48 HOUR
    AND (deathtime IS NULL OR deathtime - intime >= INTERVAL 48 HOUR)"""

Scalar = Callable[[str], Any]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables of one hospital, and `stays`: each ICU stay with its admission and patient."""
    folder = tmp_path_factory.mktemp("hospital")
    generate(folder, STAYS, 1)
    connection = duckdb.connect()
    for table in TABLES:
        connection.execute(f"CREATE TABLE {table} AS SELECT * FROM '{folder}/{table}.parquet'")
    connection.execute("""CREATE TABLE stays AS SELECT i.*, a.* EXCLUDE (row_id, subject_id, hadm_id), p.* EXCLUDE (row_id, subject_id)
        FROM icustays i JOIN admissions a USING (hadm_id) JOIN patients p ON p.subject_id = i.subject_id""")
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def one(db: duckdb.DuckDBPyConnection) -> Scalar:
    """The first value of a query's first row."""

    def ask(query: str) -> Any:
        row = db.execute(query).fetchone()
        assert row is not None
        return row[0]

    return ask


# --- bytes ---


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        generate(tmp_path / name, 60, seed)
    for table in TABLES:
        first, again, other = (
            (tmp_path / name / f"{table}.parquet").read_bytes() for name in "abc"
        )
        assert first == again
        assert (first != other) or table.startswith("D_")


@pytest.mark.parametrize("stays", [1, 2, 7])
def test_any_number_of_stays(tmp_path: Path, stays: int) -> None:
    generate(tmp_path, stays, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{table}.parquet" for table in TABLES
    )
    assert pq.read_metadata(tmp_path / "ICUSTAYS.parquet").num_rows == stays
    assert pq.read_metadata(tmp_path / "CHARTEVENTS.parquet").num_rows >= stays


def test_events_are_written_in_chunks_and_numbered_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hospital, "CHUNK", 8)
    generate(tmp_path, 20, 3)
    for table in ("CHARTEVENTS", "LABEVENTS"):
        file = pq.ParquetFile(tmp_path / f"{table}.parquet")
        assert file.num_row_groups == 3
        rows = file.read(["row_id"])["row_id"].to_numpy()
        assert np.array_equal(rows, np.arange(1, len(rows) + 1))


# --- schema and labels ---


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_those_of_the_real_tables(
    table: str, db: duckdb.DuckDBPyConnection, mimic_demo: Path
) -> None:
    real = db.execute(
        f"DESCRIBE SELECT * FROM read_csv('{mimic_demo}/{table}.csv.gz', sample_size = -1)"
    ).fetchall()
    found = db.execute(f"DESCRIBE {table}").fetchall()
    assert [column[0] for column in found] == [column[0] for column in real]
    for ours, theirs in zip(found, real, strict=True):
        always_null = ours[0] == "conceptid"  # a CSV reader takes it for text
        assert always_null or ours[1].replace("INTEGER", "BIGINT") == theirs[1]


def test_every_file_and_every_admission_says_synthetic(tmp_path: Path, one: Scalar) -> None:
    generate(tmp_path, 3, 1)
    for table in TABLES:
        assert (pq.read_schema(tmp_path / f"{table}.parquet").metadata or {})[
            b"origin"
        ] == b"synthetic"
    assert (
        one(
            "SELECT count(*) FROM admissions WHERE diagnosis NOT LIKE 'SYNTHETIC %' OR diagnosis IS NULL"
        )
        == 0
    )


# --- integrity ---


@pytest.mark.parametrize(
    ("table", "key"),
    [
        *((table, "row_id") for table in TABLES),
        ("patients", "subject_id"),
        ("admissions", "hadm_id"),
        ("icustays", "icustay_id"),
        ("d_items", "itemid"),
        ("d_labitems", "itemid"),
    ],
)
def test_keys_are_unique(table: str, key: str, one: Scalar) -> None:
    assert one(f"SELECT count(*) - count(DISTINCT {key}) FROM {table}") == 0


@pytest.mark.parametrize(
    ("table", "keys", "parent"),
    [
        ("admissions", "subject_id", "patients"),
        ("icustays", "subject_id, hadm_id", "admissions"),
        ("chartevents", "subject_id, hadm_id, icustay_id", "icustays"),
        ("labevents", "subject_id", "patients"),
        (
            "(SELECT * FROM labevents WHERE hadm_id IS NOT NULL)",
            "subject_id, hadm_id",
            "admissions",
        ),
        ("chartevents", "itemid", "d_items"),
        ("labevents", "itemid", "d_labitems"),
        ("patients", "subject_id", "icustays"),
        ("admissions", "hadm_id", "icustays"),
        ("icustays", "icustay_id", "chartevents"),
    ],
)
def test_every_row_has_its_parent(table: str, keys: str, parent: str, one: Scalar) -> None:
    assert one(f"SELECT count(*) FROM {table} AS t ANTI JOIN {parent} USING ({keys})") == 0


NEVER = {
    "the ICU lies within the admission": "FROM stays WHERE intime < admittime OR outtime > dischtime OR outtime <= intime",
    "los is the length of stay in days": "FROM stays WHERE abs(los - epoch(outtime - intime) / 86400) > 1e-4",
    "who dies in the hospital dies at discharge": "FROM admissions WHERE hospital_expire_flag = 1 AND deathtime IS DISTINCT FROM dischtime",
    "who lives has no time of death": "FROM admissions WHERE hospital_expire_flag = 0 AND deathtime IS NOT NULL",
    "a death in the hospital is on the discharge papers": "FROM admissions WHERE (discharge_location = 'DEAD/EXPIRED') <> (hospital_expire_flag = 1)",
    "a death in the hospital is the patient's, that day": """FROM admissions JOIN patients USING (subject_id) WHERE hospital_expire_flag = 1
        AND (dod_hosp IS DISTINCT FROM date_trunc('day', deathtime) OR dod IS DISTINCT FROM dod_hosp OR expire_flag <> 1)""",
    "a patient's death in the hospital is an admission's": """FROM patients WHERE dod_hosp IS NOT NULL
        AND subject_id NOT IN (SELECT subject_id FROM admissions WHERE hospital_expire_flag = 1)""",
    "expire_flag says whether there is a date of death": "FROM patients WHERE (expire_flag = 1) <> (dod IS NOT NULL)",
    "nobody is admitted after death": """FROM admissions a JOIN admissions b USING (subject_id)
        WHERE a.hospital_expire_flag = 1 AND b.admittime > a.admittime""",
    "nobody dies before a discharge": "FROM admissions JOIN patients USING (subject_id) WHERE dod < date_trunc('day', dischtime)",
    "nobody is in two admissions at once": """FROM admissions a JOIN admissions b USING (subject_id)
        WHERE a.admittime < b.admittime AND a.dischtime >= b.admittime""",
    "nobody is in two ICUs at once": "FROM icustays a JOIN icustays b USING (subject_id) WHERE a.intime < b.intime AND a.outtime >= b.intime",
    "nobody is born after admission": "FROM stays WHERE dob >= admittime",
    "charts are kept in the ICU": """FROM chartevents JOIN icustays USING (icustay_id)
        WHERE charttime < intime - INTERVAL 30 MINUTE OR charttime > outtime OR storetime <= charttime""",
    "each charting system has its own item ids": """FROM chartevents e JOIN icustays i USING (icustay_id) JOIN d_items d USING (itemid)
        WHERE i.dbsource <> d.dbsource""",
    "labs are drawn between a day before the ICU and its end": """FROM labevents e ANTI JOIN icustays i
        ON i.subject_id = e.subject_id AND e.charttime >= i.intime - INTERVAL 25 HOUR AND e.charttime <= i.outtime""",
    "labs before admission name none": """FROM labevents e JOIN admissions USING (hadm_id) WHERE charttime < admittime""",
    "marked errors are a MetaVision feature": """FROM chartevents JOIN icustays USING (icustay_id)
        WHERE (dbsource = 'metavision') <> (error IS NOT NULL)""",
    "a number is charted as that number": "FROM chartevents WHERE valuenum IS NOT NULL AND abs(TRY_CAST(value AS DOUBLE) - valuenum) > 1e-9",
    "years lie between 2100 and 2210": "FROM stays WHERE year(intime) NOT BETWEEN 2100 AND 2210",
}


@pytest.mark.parametrize("promise", NEVER)
def test_times_deaths_and_charts_agree(promise: str, one: Scalar) -> None:
    assert one(f"SELECT count(*) {NEVER[promise]}") == 0


# --- deliberate oddities: (query, lowest count, highest count) ---

SOME = {
    "subjects with several stays": (
        "FROM (SELECT subject_id FROM icustays GROUP BY 1 HAVING count(*) > 1)",
        200,
        900,
    ),
    "subjects with several admissions": (
        "FROM (SELECT subject_id FROM admissions GROUP BY 1 HAVING count(*) > 1)",
        150,
        800,
    ),
    "admissions with several stays": (
        "FROM (SELECT hadm_id FROM icustays GROUP BY 1 HAVING count(*) > 1)",
        100,
        400,
    ),
    "ages hidden at 300 years": (f"FROM stays WHERE {AGE} BETWEEN 299 AND 305", 20, 300),
    "no age between 89 and 299 at first admission": (
        f"FROM stays WHERE {AGE} BETWEEN 93 AND 299",
        0,
        0,
    ),
    "minors": (f"FROM stays WHERE {AGE} < 18", 15, 150),
    "CareVue stays": ("FROM icustays WHERE dbsource = 'carevue'", 1000, 1800),
    "stays shorter than a day": ("FROM icustays WHERE los < 1", 60, 300),
    "stays between one and two days": ("FROM icustays WHERE los BETWEEN 1 AND 2", 200, 700),
    "deaths within 48 hours": ("FROM stays WHERE deathtime - intime < INTERVAL 48 HOUR", 25, 250),
    "deaths in the ICU after 48 hours": (
        "FROM stays WHERE deathtime - intime > INTERVAL 48 HOUR AND outtime = deathtime",
        100,
        500,
    ),
    "deaths on the ward after the ICU": ("FROM stays WHERE deathtime > outtime", 20, 200),
    "deaths after discharge": (
        "FROM patients WHERE dod IS NOT NULL AND dod_hosp IS NULL",
        200,
        900,
    ),
    "intime on the full hour": (
        "FROM icustays WHERE date_trunc('hour', intime) = intime",
        200,
        450,
    ),
    "chart rows before intime": (
        "FROM chartevents JOIN icustays USING (icustay_id) WHERE charttime < intime",
        100,
        20_000,
    ),
    "chart rows exactly at intime": (
        "FROM chartevents JOIN icustays USING (icustay_id) WHERE charttime = intime",
        100,
        5000,
    ),
    "chart rows exactly at hour 48": (
        "FROM chartevents JOIN icustays USING (icustay_id) WHERE charttime = intime + INTERVAL 48 HOUR",
        100,
        5000,
    ),
    "chart rows after hour 48": (
        "FROM chartevents JOIN icustays USING (icustay_id) WHERE charttime > intime + INTERVAL 48 HOUR",
        50_000,
        500_000,
    ),
    "rows marked as errors": ("FROM chartevents WHERE error = 1", 1000, 10_000),
    "chart values that no body has": (
        "FROM chartevents WHERE valuenum IN (-1, 0, 999999, 2222221.7)",
        500,
        10_000,
    ),
    "Celsius under a Fahrenheit item": (
        "FROM chartevents WHERE itemid IN (678, 223761) AND valuenum BETWEEN 30 AND 45",
        20,
        1000,
    ),
    "Fahrenheit under a Celsius item": (
        "FROM chartevents WHERE itemid IN (676, 223762) AND valuenum BETWEEN 90 AND 110",
        5,
        1000,
    ),
    "chart rows with a word for a number": (
        "FROM chartevents WHERE valuenum IS NULL AND value IS NOT NULL",
        500,
        10_000,
    ),
    "chart rows with nothing": (
        "FROM chartevents WHERE valuenum IS NULL AND value IS NULL",
        500,
        10_000,
    ),
    "chart rows that no measurement wants": (
        "FROM chartevents WHERE itemid IN (807, 811, 225664, 220621)",
        10_000,
        100_000,
    ),
    "lab rows that no measurement wants": (
        "FROM labevents WHERE itemid IN (50809, 51221)",
        5000,
        50_000,
    ),
    "lab rows without hadm_id": ("FROM labevents WHERE hadm_id IS NULL", 5000, 80_000),
    "lab rows without hadm_id in the ICU": (
        "FROM labevents e JOIN icustays i ON i.subject_id = e.subject_id AND charttime BETWEEN intime AND outtime WHERE e.hadm_id IS NULL",
        1000,
        20_000,
    ),
    "lab rows before the ICU": (
        "FROM labevents e JOIN icustays i ON i.subject_id = e.subject_id AND charttime BETWEEN intime - INTERVAL 24 HOUR AND intime",
        10_000,
        200_000,
    ),
    "lab rows after hour 48": (
        "FROM labevents e JOIN icustays i ON i.subject_id = e.subject_id AND charttime BETWEEN intime + INTERVAL 48 HOUR AND outtime",
        10_000,
        200_000,
    ),
    "lab rows without a number": ("FROM labevents WHERE valuenum IS NULL", 50, 2000),
    "lab values that no body has": ("FROM labevents WHERE valuenum IN (-1, 0, 999999)", 30, 2000),
    "potassium in whole blood": ("FROM labevents WHERE itemid = 50822", 1000, 50_000),
    "potassium in chemistry": ("FROM labevents WHERE itemid = 50971", 5000, 80_000),
}


@pytest.mark.parametrize("oddity", SOME)
def test_deliberate_oddities_are_there(oddity: str, one: Scalar) -> None:
    query, lowest, highest = SOME[oddity]
    assert lowest <= one(f"SELECT count(*) {query}") <= highest


def test_both_systems_chart_every_vital_sign_under_their_own_items(
    db: duckdb.DuckDBPyConnection,
) -> None:
    charted = {row[0] for row in db.execute("SELECT DISTINCT itemid FROM chartevents").fetchall()}
    wanted = {
        itemid
        for m in MEASUREMENTS
        for items in m.mimic
        if items.table == "chartevents"
        for itemid in map(int, items.codes)
    }
    assert wanted <= charted


# --- physiology ---


@pytest.fixture(scope="module")
def values(db: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The valid values of the cohort's first 48 hours: icustay_id, name, hour, value.

    The cohort is the table `cohort`.
    """
    db.execute(
        f"CREATE TABLE cohort AS SELECT icustay_id, subject_id, hospital_expire_flag AS died FROM stays WHERE {ADULTS_FOR_48_HOURS}"
    )
    parts = []
    for m in MEASUREMENTS:
        for items in m.mimic:
            value = "(valuenum - 32) / 1.8" if items.fahrenheit else "valuenum"
            upper = "<=" if items.limits.highest_counts else "<"
            own = (
                "e.icustay_id = i.icustay_id AND e.error IS DISTINCT FROM 1"
                if items.table == "chartevents"
                else "e.subject_id = i.subject_id"
            )
            parts.append(f"""SELECT i.icustay_id, '{m.name}' AS name, epoch(charttime - intime) / 3600 AS hour, {value} AS value
                FROM {items.table} e JOIN icustays i ON {own} JOIN cohort c ON c.icustay_id = i.icustay_id
                WHERE itemid IN ({",".join(items.codes)}) AND charttime >= intime AND charttime < intime + INTERVAL 48 HOUR
                AND valuenum > {items.limits.above} AND valuenum {upper} {items.limits.highest}""")
    db.execute("CREATE TABLE events AS " + " UNION ALL ".join(parts))
    return db.execute("SELECT * FROM events ORDER BY ALL").df()


@pytest.fixture(scope="module")
def summary(db: duckdb.DuckDBPyConnection, values: pd.DataFrame) -> pd.DataFrame:
    """One row per stay of the cohort, in order of icustay_id; columns (summary, measurement)."""
    table = db.execute("""SELECT icustay_id, name, avg(value) AS mean, min(value) AS min, max(value) AS max, coalesce(stddev(value), 0) AS std,
        arg_max(value, hour) AS last, count(*) AS count, coalesce(regr_slope(value, hour), 0) AS slope FROM events GROUP BY ALL""").df()
    ids = db.execute("SELECT icustay_id FROM cohort ORDER BY 1").df().icustay_id
    wide = table.pivot(index="icustay_id", columns="name").reindex(ids)
    wide["count"] = wide["count"].fillna(0)
    return wide


@pytest.fixture(scope="module")
def died(db: duckdb.DuckDBPyConnection, summary: pd.DataFrame) -> np.ndarray:
    return db.execute("SELECT died FROM cohort ORDER BY icustay_id").df().died.to_numpy()


@pytest.fixture(scope="module")
def auroc(
    db: duckdb.DuckDBPyConnection, summary: pd.DataFrame, died: np.ndarray
) -> Callable[..., float]:
    """AUROC of a model's out-of-fold probabilities, 5 folds by subject."""
    subjects = (
        db.execute("SELECT subject_id FROM cohort ORDER BY icustay_id").df().subject_id.to_numpy()
    )

    def score(model: Any, features: list[str], labels: np.ndarray = died) -> float:
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
        found = cross_val_predict(
            model,
            summary[features].to_numpy(),
            labels,
            groups=subjects,
            cv=folds,
            method="predict_proba",
        )
        return float(roc_auc_score(labels, found[:, 1]))

    return score


SUMMARIES = ["mean", "min", "max", "std", "last", "count"]
LINEAR = make_pipeline(
    SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(C=0.03, max_iter=500)
)
BOOSTING = HistGradientBoostingClassifier(
    max_iter=120, learning_rate=0.05, max_leaf_nodes=8, random_state=0
)


def test_four_of_five_stays_are_in_the_cohort_and_one_of_nine_dies(died: np.ndarray) -> None:
    assert 0.74 < len(died) / STAYS < 0.82
    assert 0.09 < died.mean() < 0.13


def test_medians_are_those_of_an_intensive_care_unit(values: pd.DataFrame) -> None:
    """Roughly the quartiles of the open MIMIC-III demo."""
    expected = {
        "potassium": (3.6, 4.4), "calcium": (1.05, 1.17), "ph": (7.33, 7.44), "pco2": (35, 47), "lactate": (1.4, 3.0), "albumin": (2.5, 3.4),
        "bun": (14, 40), "creatinine": (0.6, 1.7), "sodium": (136, 142), "bicarbonate": (22, 28), "platelet": (95, 269), "glucose": (100, 152),
        "magnesium": (1.8, 2.3), "heartrate": (73, 100), "sysbp": (100, 133), "diasbp": (48, 66), "tempc": (36.3, 37.7), "resprate": (14, 25),
        "spo2": (95.5, 99),
    }  # fmt: skip
    medians = values.groupby("name").value.median()
    assert set(medians.index) == set(NAMES)
    assert {
        name: medians[name]
        for name, (low, high) in expected.items()
        if not low <= medians[name] <= high
    } == {}


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ("bun", "creatinine", 0.4, 0.9),
        ("sysbp", "diasbp", 0.4, 0.9),
        ("lactate", "bicarbonate", -0.8, -0.2),
        ("lactate", "ph", -0.8, -0.1),
        ("ph", "bicarbonate", 0.1, 0.8),
        ("ph", "pco2", -0.9, -0.3),
        ("heartrate", "resprate", 0.2, 0.8),
        ("heartrate", "tempc", 0.2, 0.8),
        ("resprate", "spo2", -0.8, -0.2),
    ],
)
def test_what_moves_together_in_bodies_moves_together(
    first: str, second: str, low: float, high: float, summary: pd.DataFrame
) -> None:
    means = summary["mean"][[first, second]].dropna().rank()
    assert low < means[first].corr(means[second]) < high


def test_a_patient_resembles_himself_more_the_shorter_the_time(values: pd.DataFrame) -> None:
    hourly = (
        values[values.name == "heartrate"]
        .assign(hour=lambda v: v.hour.astype(int))
        .pivot_table(index="icustay_id", columns="hour", values="value")
    )
    one, twelve = hourly[20].corr(hourly[21]), hourly[20].corr(hourly[32])
    assert one > 0.8
    assert 0.3 < twelve < one - 0.05


def test_sampling_is_irregular(values: pd.DataFrame) -> None:
    pulse = values[values.name == "heartrate"]
    gaps = pulse.groupby("icustay_id").hour.diff().dropna()
    assert gaps.median() == pytest.approx(1, abs=0.1)
    assert (gaps < 0.75).mean() > 0.15
    assert gaps[gaps > 3].count() > 200
    assert (
        pulse.assign(bin=pulse.hour.astype(int)).groupby(["icustay_id", "bin"]).size() > 1
    ).mean() > 0.05
    creatinine = values[values.name == "creatinine"].groupby("icustay_id").size()
    assert 2 <= creatinine.median() <= 6


def test_labs_of_a_panel_are_drawn_together(one: Scalar) -> None:
    drawn = "(SELECT DISTINCT subject_id, charttime FROM labevents WHERE itemid = {})"
    together = one(
        f"SELECT count(*) FROM {drawn.format(50912)} JOIN {drawn.format(51006)} USING (subject_id, charttime)"
    )
    assert together > 0.9 * one(f"SELECT count(*) FROM {drawn.format(50912)}")


def test_some_measurements_are_never_taken_in_many_stays(summary: pd.DataFrame) -> None:
    taken = (summary["count"] > 0).mean()
    for name in ("lactate", "albumin", "ph", "pco2", "calcium"):
        assert 0.2 < taken[name] < 0.8
    for name in ("heartrate", "sysbp", "creatinine", "sodium"):
        assert taken[name] > 0.97


# --- what a model can know ---


def test_honest_models_reach_what_real_ones_do(auroc: Callable[..., float]) -> None:
    assert 0.80 < auroc(BOOSTING, SUMMARIES) < 0.90
    assert 0.80 < auroc(LINEAR, SUMMARIES) < 0.90


def test_the_course_predicts_better_than_the_mean(auroc: Callable[..., float]) -> None:
    assert auroc(LINEAR, ["mean", "last", "slope"]) > auroc(LINEAR, ["mean"]) + 0.03


def test_no_single_summary_gives_the_label_away(summary: pd.DataFrame, died: np.ndarray) -> None:
    alone = {}
    for column in summary:
        found = summary[column].fillna(summary[column].median())
        alone[column] = abs(roc_auc_score(died, found) - 0.5) + 0.5
    assert max(alone.values()) < 0.78
    assert max(score for (kind, _), score in alone.items() if kind == "count") < 0.70
    assert roc_auc_score(died, summary["count"].sum(axis=1)) < 0.70


def test_no_single_cell_gives_the_label_away(
    values: pd.DataFrame, summary: pd.DataFrame, died: np.ndarray
) -> None:
    label = pd.Series(died, index=summary.index)
    for name in ("heartrate", "sysbp", "resprate", "spo2", "bun", "creatinine"):
        cells = (
            values[values.name == name]
            .assign(hour=lambda v: v.hour.astype(int))
            .pivot_table(index="icustay_id", columns="hour", values="value")
        )
        for hour in cells:
            cell = cells[hour].dropna()
            if label[cell.index].sum() >= 40:
                assert abs(roc_auc_score(label[cell.index], cell) - 0.5) < 0.28


def test_nothing_is_learned_from_permuted_labels(
    auroc: Callable[..., float], died: np.ndarray
) -> None:
    shuffled = np.random.default_rng(0).permutation(died)
    assert auroc(LINEAR, SUMMARIES, shuffled) == pytest.approx(0.5, abs=0.08)


# --- the stage ---


def options(stays: int) -> Params:
    usual = load_params(Path(__file__).parents[2] / "params.yaml")
    return usual.model_copy(
        update={"synthesize": usual.synthesize.model_copy(update={"stays": stays})}
    )


def test_stage_replaces_the_hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for stays in (2, 3):
        synthesize.run(options(stays))
        assert pq.read_metadata(SYNTHETIC / "ICUSTAYS.parquet").num_rows == stays
    assert [path.name for path in SYNTHETIC.parent.iterdir()] == [SYNTHETIC.name]


def test_stage_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    synthesize.run(options(2))
    before = (SYNTHETIC / "CHARTEVENTS.parquet").read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(hospital, "events", full_disk)
    with pytest.raises(OSError, match="No space left"):
        synthesize.run(options(5))
    assert [path.name for path in SYNTHETIC.parent.iterdir()] == [SYNTHETIC.name]
    assert (SYNTHETIC / "CHARTEVENTS.parquet").read_bytes() == before
