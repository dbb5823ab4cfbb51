"""The queries of meds.py, in DuckDB's SQL."""

from icu_adversarial.extract.account import IMPLAUSIBLE, KEPT, NO_NUMBER, NO_STAY, NO_TIME, OUTSIDE

# What each code of the data stands for. rest: what the * of the map stands for.
CODES_QUERY = """
SELECT c.code, m.stands_for, m.factor, m."offset", substr(c.code, length(m.code) + 1) AS rest
FROM (SELECT DISTINCT code FROM events) c
JOIN meanings m ON c.code = m.code OR (m.is_prefix AND starts_with(c.code, m.code))
ORDER BY c.code
"""
# Rows that name no subject or no time where one is needed, and subjects in two splits.
CHECKS_QUERY = """
SELECT (
  SELECT count(*) FROM events e JOIN codes c ON c.code = e.code WHERE e.subject_id IS NULL
) AS without_subject, (
  SELECT count(*) FROM events e JOIN codes c ON c.code = e.code
  WHERE e.time IS NULL AND c.stands_for = 'icu_admission'
) AS without_time, (
  SELECT count(*) FROM (SELECT 1 FROM splits GROUP BY subject_id HAVING count(DISTINCT split) > 1)
) AS in_two_splits
"""
# The text of meds.py says which mark belongs to which stay, and what is made of a mark at 00:00:
# it is known only to the day, from `time` to `until`. A named admission (column hadm_id) decides
# before any time does: coalesce(m.hadm_id = x.hadm_id, ...). least leaves out nulls.
STAYS_QUERY = """
WITH marks AS MATERIALIZED (
  SELECT e.subject_id, e.time, c.stands_for, min(c.rest) AS rest, min(e.hadm_id) AS hadm_id,
         e.time + if(e.time = date_trunc('day', e.time), INTERVAL '23:59:59', INTERVAL '0 seconds')
         AS until
  FROM events e JOIN codes c ON c.code = e.code
  WHERE c.stands_for NOT IN (SELECT measurement FROM limits)
  GROUP BY e.subject_id, e.time, c.stands_for
), admissions AS (
  SELECT *, row_number() OVER (ORDER BY subject_id, time) AS number
  FROM marks WHERE stands_for = 'hospital_admission' AND time IS NOT NULL
), discharges AS (
  FROM marks WHERE stands_for IN ('hospital_discharge', 'hospital_death')
), begun AS (
  SELECT row_number() OVER (ORDER BY subject_id, time) AS stay_id, subject_id, hadm_id,
         time AS intime, rest AS icu_type, row_number() OVER of_subject AS subject_order,
         lead(time) OVER of_subject AS next_intime, lead(hadm_id) OVER of_subject AS next_hadm
  FROM marks WHERE stands_for = 'icu_admission' AND time IS NOT NULL
  WINDOW of_subject AS (PARTITION BY subject_id ORDER BY time)
), ended AS (
  SELECT x.*, (
    SELECT min(m.time) FROM marks m
    WHERE m.subject_id = x.subject_id AND m.stands_for = 'icu_discharge' AND m.time > x.intime
      AND m.time <= coalesce(x.next_intime, m.time) AND coalesce(m.hadm_id = x.hadm_id, true)
  ) AS icu_end
  FROM begun x
), entered AS (
  SELECT x.*, (
    SELECT max(m.time) FROM admissions m
    WHERE m.subject_id = x.subject_id
      AND coalesce(m.hadm_id = x.hadm_id, m.time <= coalesce(x.icu_end, x.intime))
  ) AS entry, (
    SELECT max(m.time) FROM discharges m
    WHERE m.subject_id = x.subject_id AND m.until <= x.intime
  ) AS left_before
  FROM ended x
), admitted AS (
  SELECT * EXCLUDE (entry, left_before),
         if(hadm_id IS NULL AND left_before > entry, NULL, entry) AS admittime
  FROM entered
), bounded AS (
  SELECT x.*, (
    SELECT min(m.time) FROM admissions m
    WHERE m.subject_id = x.subject_id AND coalesce(m.hadm_id <> x.hadm_id, true)
      AND m.time > coalesce(x.admittime, x.icu_end, x.intime)
  ) AS next_admittime
  FROM admitted x
), discharged AS (
  SELECT x.*, (
    SELECT min({'until': m.until, 'time': m.time}) FROM discharges m
    WHERE m.subject_id = x.subject_id AND coalesce(
      m.hadm_id = x.hadm_id,
      m.until > x.intime AND m.time >= coalesce(x.admittime, m.time)
        AND m.time <= coalesce(x.next_admittime, m.time)
    )
  ) AS discharge, least(
    if(icu_end <= coalesce(next_admittime, icu_end), icu_end, NULL),
    if(coalesce(next_hadm = hadm_id, next_admittime IS NULL OR next_intime < next_admittime),
       next_intime, NULL)
  ) AS outtime
  FROM bounded x
), subjects AS (
  SELECT subject_id, min(time) FILTER (WHERE stands_for = 'birth') AS birth,
         min({'until': until, 'time': time}) FILTER (WHERE stands_for = 'death') AS death,
         min(time) FILTER (WHERE stands_for IN ('death', 'hospital_death')) AS any_death,
         max(time) FILTER (WHERE stands_for IN ('hospital_discharge', 'hospital_death'))
           AS last_discharge,
         bool_or(stands_for = 'female') AS female, bool_or(stands_for = 'male') AS male
  FROM marks GROUP BY subject_id
), described AS (
  SELECT x.*, s.* EXCLUDE (subject_id),
         if(x.discharge IS NULL, NULL, least(x.discharge.until, x.next_admittime)) AS dischtime, (
    SELECT min(m.until) FROM marks m
    WHERE m.subject_id = x.subject_id AND m.stands_for IN ('death', 'hospital_death')
      AND m.until < x.intime
  ) AS death_before, EXISTS (
    FROM marks m
    WHERE m.subject_id = x.subject_id AND m.stands_for = 'hospital_death' AND coalesce(
      m.hadm_id = x.hadm_id, m.time <= x.discharge.until AND m.until >= x.discharge.time
    )
  ) AS coded_dead
  FROM discharged x JOIN subjects s ON s.subject_id = x.subject_id
), outcomes AS (
  SELECT *, CASE
    WHEN discharge IS NULL THEN NULL
    WHEN {deaths_are_coded} AND coded_dead THEN true
    WHEN {deaths_are_coded} AND death.until >= intime AND death.until < discharge.time THEN NULL
    WHEN {deaths_are_coded} THEN false
    ELSE coalesce(death.until >= intime AND death.time <= dischtime, false)
  END AS died
  FROM described
), dated AS (
  SELECT *,
         if(died, coalesce(any_death, dischtime), any_death)::DATE AS died_on,
         died IS NOT NULL AND coalesce(died OR died_on >= discharge.time::DATE, true) AS coherent,
         CASE WHEN NOT died THEN false
              WHEN died AND least(death.until, dischtime) <= outtime THEN true
              WHEN died AND death.time > outtime THEN false END AS icu_died
  FROM outcomes
)
SELECT o.stay_id, o.subject_id, CAST(subject_order AS SMALLINT) AS subject_order,
       if((SELECT count(hadm_id) FROM begun) > 0, o.hadm_id, a.number) AS hadm_id,
       o.hadm_id AS named_hadm_id, coalesce(g.split, 'meds') AS source_group,
       epoch(intime - birth) / (365.2425 * 86400) AS years, if(years > 89, 90, years) AS age,
       CASE WHEN female AND male THEN NULL WHEN female THEN 'F' WHEN male THEN 'M' END AS sex,
       nullif(icu_type, '') AS icu_type,
       epoch(admittime - intime) / 3600 AS admit_hour,
       epoch(dischtime - intime) / 3600 AS discharge_hour,
       epoch(outtime - intime) / 3600 AS out_hour,
       epoch(CASE WHEN death_before IS NOT NULL THEN death_before
                  WHEN died AND death.until >= intime THEN least(death.until, dischtime)
                  WHEN died THEN dischtime END - intime) / 3600 AS death_hour,
       died, icu_died, if(coherent, died_on - intime::DATE, NULL) AS death_day,
       if(coherent AND EXISTS (FROM subjects WHERE any_death::DATE > last_discharge::DATE),
          last_discharge::DATE + 365 - intime::DATE, NULL) AS followed_days, intime
FROM dated o
LEFT JOIN (SELECT DISTINCT subject_id, split FROM splits) g ON g.subject_id = o.subject_id
LEFT JOIN admissions a ON a.subject_id = o.subject_id AND a.time = o.admittime
ORDER BY o.stay_id
"""
# The stays of each subject in their order. THEIRS: the stays that a row may belong to, which are
# those of its subject unless it names another admission.
OF_SUBJECT = """
of_subject AS (
  SELECT subject_id,
         list(struct_pack(stay_id := stay_id, intime := intime, hadm_id := named_hadm_id)
              ORDER BY intime, stay_id) AS stays
  FROM stays GROUP BY subject_id
)"""
THEIRS = "list_filter(s.stays, lambda x: coalesce(e.hadm_id = x.hadm_id, true))"
# within: the stays whose window contains the time of the row. The hour is rounded to float32 before
# it is compared with the window's end. other: a second range of values, in another unit; null if
# there is none. reason: why a row in a window does not count.
ROWS = f"""
WITH {OF_SUBJECT}, coded AS (
  SELECT e.time, c.code_number AS code, l.rank, l.is_binary, {THEIRS} AS theirs,
         c.factor * e.numeric_value + c."offset" AS plain,
         plain > l.above AND (plain < l.below OR (l.below_counts AND plain = l.below)) AS fits,
         NOT fits AND plain > l.other_above AND plain <= l.other_at_most AS fits_other,
         if(fits_other, plain * l.other_factor, plain) AS exact,
         CASE WHEN plain IS NULL OR isnan(plain) THEN '{NO_NUMBER}'
              WHEN fits OR fits_other THEN NULL ELSE '{IMPLAUSIBLE}' END AS reason
  FROM events e JOIN codes c ON c.code = e.code JOIN limits l ON l.measurement = c.stands_for
  LEFT JOIN of_subject s ON s.subject_id = e.subject_id
), placed AS (
  SELECT *, list_filter(theirs, lambda x: coalesce(
    time >= x.intime AND time < x.intime + INTERVAL '{{window_hours}} hours'
      AND CAST(epoch(time - x.intime) / 3600 AS REAL) < {{window_hours}}, false)) AS within
  FROM coded
)
"""
# The order is total: the same bytes on every run.
EVENTS_QUERY = f"""{ROWS}, counted AS (
  SELECT x.stay_id AS stay_id, CAST(epoch(time - x.intime) / 3600 AS REAL) AS hour, rank,
         CAST(if(is_binary, 1, exact) AS REAL) AS value, code,
         x.stay_id = within[1].stay_id AS first_stay
  FROM (SELECT *, unnest(within) AS x FROM placed WHERE reason IS NULL)
)
SELECT * FROM counted{{sums}}
ORDER BY stay_id, hour, rank, value, code, first_stay
"""
COUNTS_QUERY = f"""{ROWS}
SELECT rank, CASE WHEN coalesce(len(theirs), 0) = 0 THEN '{NO_STAY}'
                  WHEN time IS NULL THEN '{NO_TIME}'
                  WHEN len(within) = 0 THEN '{OUTSIDE}' ELSE reason END AS why,
       count(*) AS rows
FROM placed GROUP BY ALL
"""
# Rows that describe the stays. Those of the sex need no time.
MARKS_QUERY = f"""
WITH {OF_SUBJECT}, marks AS (
  SELECT code, bool_or(stands_for NOT IN ('female', 'male')) AS timed FROM codes
  WHERE code NOT IN (SELECT code FROM codes JOIN limits ON measurement = stands_for) GROUP BY code
)
SELECT CASE WHEN coalesce(len({THEIRS}), 0) = 0 THEN '{NO_STAY}'
            WHEN e.time IS NULL AND m.timed THEN '{NO_TIME}' ELSE '{KEPT}' END AS why,
       count(*) AS rows
FROM events e JOIN marks m ON m.code = e.code LEFT JOIN of_subject s ON s.subject_id = e.subject_id
GROUP BY ALL
"""
