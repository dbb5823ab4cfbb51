"""The query of the ICU stays of MIMIC, in the SQL that DuckDB and PostgreSQL share."""

# PostgreSQL extracts a numeric, DuckDB a double.
HOURS = "CAST(EXTRACT(EPOCH FROM ({} - {})) AS DOUBLE PRECISION) / 3600.0"
# ICU stays with their patient and admission. `columns` are further columns of these.
# left_out: why the source leaves a stay out, the first reason that holds. A stay belongs to one
# admission: where ADMISSIONS names another patient or begins after the ICU stay has ended, one of
# the two is wrong. subject_order counts all ICU stays, also those that are left out.
# died_at: a death at 00:00 is known to the day. It is placed at the discharge of that day, else at
# the day's end, so that nobody dies before the measurements of the day of death.
# nth, nth_of_admission: 1 for the first given stay of its subject, and of its admission. before and
# before_same: when the given stay before it began, of its subject and of its admission.
# Materialised: the three small tables are joined once, not with every event.
STAYS = """
dated AS (
  SELECT *, CASE WHEN deathtime <> DATE_TRUNC('day', deathtime) THEN deathtime
                 WHEN dischtime > deathtime AND dischtime < deathtime + INTERVAL '1 day'
                 THEN dischtime ELSE deathtime + INTERVAL '1 day' END AS died_at
  FROM admissions
), deaths AS (
  SELECT subject_id, MIN(died_at) AS first_death, MIN(deathtime) AS first_deathtime,
         MAX(dischtime) AS last_dischtime
  FROM dated GROUP BY subject_id
), all_stays AS MATERIALIZED (
  SELECT s.{stay_id} AS stay_id, s.subject_id, s.hadm_id, s.first_careunit, s.intime, s.outtime,
         {columns}, p.gender, p.dod, d.first_deathtime, d.last_dischtime, a.admittime, a.dischtime,
         a.deathtime, a.hospital_expire_flag,
         CASE WHEN d.first_death < s.intime THEN d.first_death ELSE a.died_at END AS died_at,
         ROW_NUMBER() OVER (PARTITION BY s.subject_id ORDER BY s.intime, s.{stay_id})
           AS subject_order,
         CASE WHEN p.subject_id IS NULL OR a.hadm_id IS NULL THEN '{unknown}'
              WHEN a.subject_id IS DISTINCT FROM s.subject_id
                OR a.admittime > COALESCE(s.outtime, s.intime + INTERVAL '1 day')
              THEN '{contradictory}'
              WHEN s.intime IS NULL THEN '{undated}' END AS left_out
  FROM icustays s LEFT JOIN patients p ON p.subject_id = s.subject_id
  LEFT JOIN dated a ON a.hadm_id = s.hadm_id
  LEFT JOIN deaths d ON d.subject_id = s.subject_id
), stays AS (
  SELECT *, ROW_NUMBER() OVER of_subject AS nth, ROW_NUMBER() OVER of_admission AS nth_of_admission,
         LAG(intime) OVER of_subject AS before, LAG(intime) OVER of_admission AS before_same
  FROM all_stays WHERE left_out IS NULL
  WINDOW of_subject AS (PARTITION BY subject_id ORDER BY intime, stay_id),
         of_admission AS (PARTITION BY subject_id, hadm_id ORDER BY intime, stay_id)
)
"""
# The flag is the label. A row contradicts itself where a survivor dies before the discharge, or
# where a death in the hospital comes two days or more after it: the outcome is unknown. (In the
# demo one death in the hospital is dated a day after the discharge.)
# icu_died: the death, or else the discharge of the dead, is not after the end of the ICU stay. Null
# where the death is known to the day and the ICU stay ends on that day.
# died_on: the day of death, in or out of hospital. DOD also has deaths after the discharge.
# coherent: a patient who left the hospital alive did not die on an earlier day, and the day of a
# death in the hospital is known.
# followed_days is null where no patient has a DOD: the copy has no deaths after the discharge.
STAYS_QUERY = """
WITH {stays}, aged AS (
  SELECT *, {years} AS years,
         CASE WHEN hospital_expire_flag = 1 AND deathtime >= dischtime + INTERVAL '2 days' THEN NULL
              WHEN hospital_expire_flag = 1 THEN TRUE
              WHEN deathtime IS NULL OR deathtime > dischtime THEN FALSE END AS died,
         CAST(COALESCE(first_deathtime, dod, CASE WHEN hospital_expire_flag = 1 THEN dischtime END)
              AS DATE) AS died_on
  FROM all_stays
), labelled AS (
  SELECT *,
         CASE WHEN NOT died THEN FALSE
              WHEN died AND LEAST(died_at, NULLIF(dischtime, DATE_TRUNC('day', dischtime)))
                <= outtime THEN TRUE
              WHEN died AND deathtime > outtime THEN FALSE END AS icu_died,
         CASE WHEN died THEN died_on IS NOT NULL
              WHEN NOT died THEN COALESCE(died_on >= CAST(dischtime AS DATE), TRUE)
              ELSE FALSE END AS coherent
  FROM aged
)
SELECT stay_id, subject_id, hadm_id, CAST(subject_order AS SMALLINT) AS subject_order,
       {source_group} AS source_group,
       CAST(CASE WHEN {over_89} THEN 90 ELSE years END AS DOUBLE PRECISION) AS age, gender AS sex,
       first_careunit AS icu_type, {admit_hour} AS admit_hour, {discharge_hour} AS discharge_hour,
       {out_hour} AS out_hour, {death_hour} AS death_hour,
       CASE WHEN hospital_expire_flag IN (0, 1) THEN hospital_expire_flag END AS flag, died,
       icu_died,
       CASE WHEN coherent THEN CAST(died_on - CAST(intime AS DATE) AS INTEGER) END AS death_day,
       CASE WHEN coherent AND EXISTS (SELECT 1 FROM patients WHERE dod IS NOT NULL)
            THEN CAST({followed_days} AS INTEGER) END AS followed_days, left_out
FROM labelled ORDER BY stay_id
"""


def stays_sql(stay_id: str, columns: str, reasons: dict[str, str]) -> str:
    """Common table expressions that end with `stays`, those that the source gives.

    Args:
        stay_id: The column of ICUSTAYS with the id of a stay.
        columns: Further columns, of s (ICUSTAYS) or p (PATIENTS).
        reasons: unknown, contradictory and undated → what the reason is called.
    """
    return STAYS.format(stay_id=stay_id, columns=columns, **reasons).strip()


def stays_query(
    stays: str, *, source_group: str, years: str, over_89: str, followed_days: str
) -> str:
    """SELECT of all stays, also those that are left out.

    Args:
        stays: What `stays_sql` gave.
        source_group: SQL of the group.
        years: SQL of the age in years at ICU admission.
        over_89: SQL of a condition on `years`: the age is stored as 90.
        followed_days: SQL of the days after the ICU admission for which the source has all deaths.
    """
    times = {
        "admit_hour": "admittime",
        "discharge_hour": "dischtime",
        "out_hour": "outtime",
        "death_hour": "died_at",
    }
    return STAYS_QUERY.format(
        stays=stays,
        source_group=source_group,
        years=years,
        over_89=over_89,
        followed_days=followed_days,
        **{hour: HOURS.format(time, "intime") for hour, time in times.items()},
    )
