"""Small raw tables of MIMIC-III and records of the Challenge 2012, written by hand."""

import io
import tarfile
from pathlib import Path

# Two stays of one subject and one of another; 2100-01-01 10:00 is the first stay's intime, on the full hour.
GOLDEN = {
    "PATIENTS": "row_id,subject_id,gender,dob,dod\n1,1,F,2050-01-01 00:00:00,2100-02-03 00:00:00\n2,2,M,1800-01-01 00:00:00,\n",
    "ADMISSIONS": (
        "row_id,subject_id,hadm_id,admittime,dischtime,deathtime,diagnosis,hospital_expire_flag\n"
        '1,1,10,2100-01-01 08:00:00,2100-01-09 10:00:00,,"PAIN, CHEST",0\n'
        "2,1,11,2100-02-01 00:00:00,2100-02-03 12:00:00,2100-02-03 12:00:00,SEPSIS,1\n"
        "3,2,20,2100-05-01 00:00:00,2100-05-11 00:00:00,,FEVER,0\n"
    ),
    "ICUSTAYS": (
        "row_id,subject_id,hadm_id,icustay_id,dbsource,first_careunit,intime,outtime,los\n"
        "1,1,10,100,carevue,MICU,2100-01-01 10:00:00,2100-01-04 10:00:00,3\n"
        "2,1,11,101,metavision,SICU,2100-02-01 01:30:00,2100-02-03 12:00:00,2.4\n"
        "3,2,20,200,metavision,CCU,2100-05-01 00:00:00,,\n"
    ),
    "CHARTEVENTS": (
        "row_id,subject_id,hadm_id,icustay_id,itemid,charttime,value,valuenum,valueuom,error\n"
        "1,1,10,100,211,2100-01-01 10:00:00,80,80,BPM,0\n"  # exactly at intime: in
        "2,1,10,100,211,2100-01-03 09:59:59,81,81,BPM,\n"  # last second of the window: in
        "3,1,10,100,211,2100-01-03 10:00:00,82,82,BPM,0\n"  # hour 48: out
        "4,1,10,100,211,2100-01-01 09:59:59,83,83,BPM,0\n"  # before the ICU: out
        "5,1,10,100,211,2100-01-01 11:00:00,84,84,BPM,1\n"  # error: out
        "6,1,10,100,211,2100-01-01 11:00:00,300,300,BPM,0\n"  # not below 300: out
        '7,1,10,,678,2100-01-01 12:30:00,"100,4",100.4,?F,0\n'  # no ICU stay named: by time; 38 degrees Celsius
        "8,1,10,100,676,2100-01-01 12:45:00,98,98,?C,0\n"  # Fahrenheit under the Celsius item: out
        "9,1,10,101,646,2100-01-01 13:00:00,97,97,%,0\n"  # names another ICU stay: out
        "10,1,10,100,646,2100-01-01 13:00:00,100,100,%,0\n"  # at most 100 counts: in
        "11,1,10,100,811,2100-01-01 13:00:00,120,120,,0\n"  # chart glucose: not used
        "12,1,10,100,211,2100-01-01 14:00:00,,,BPM,0\n"  # no number: out
    ),
    "LABEVENTS": (
        "row_id,subject_id,hadm_id,itemid,charttime,value,valuenum,valueuom,flag\n"
        "1,1,,50971,2100-01-01 20:00:00,4.1,4.1,mEq/L,\n"  # no admission named: in
        "2,1,10,50822,2100-01-01 20:30:00,4.3,4.3,mEq/L,\n"  # the other item of potassium, same hour
        "3,1,11,50971,2100-01-01 20:00:00,9.9,9.9,mEq/L,\n"  # names another admission: out
        "4,1,10,50971,2100-01-01 21:00:00,30.5,30.5,mEq/L,\n"  # above 30: out
        "5,2,20,50813,2100-05-02 00:15:00,2,2.0,mmol/L,\n"
    ),
}
HEAD = "Time,Parameter,Value\n00:00,RecordID,{id}\n00:00,Age,{age}\n00:00,Gender,{sex}\n00:00,Height,-1\n00:00,ICUType,{icu}\n00:00,Weight,-1\n"
RECORDS = {
    "set-a": {
        7: HEAD.format(id=7, age=54, sex=0, icu=4)
        + "00:07,HR,73\n00:07,NISysABP,147\n01:30,SysABP,120\n01:30,Temp,35.1\n47:59,K,4.4\n48:00,K,5.0\n",
        3: HEAD.format(id=3, age=91, sex=1, icu=1)
        + "00:10,,5\n02:00,Temp,-17.8\n02:00,NISysABP,-1\n02:00,SaO2,100\n02:00,K,31\n02:00,Urine,60",
    },
    "set-b": {9: HEAD.format(id=9, age=60, sex=-1, icu=2)},  # descriptors only
}
OUTCOMES = {
    "a": "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n7,6,1,5,-1,0\n3,16,8,8,4,1\n",
    "b": "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n9,-1,-1,-1,1,1\n",
}


def write_golden(folder: Path, upper: bool = True, changes: dict[str, str] | None = None) -> Path:
    """GOLDEN as CSV files, with the tables of `changes` instead."""
    folder.mkdir(exist_ok=True)
    for table, text in (GOLDEN | (changes or {})).items():
        (folder / f"{table if upper else table.lower()}.csv").write_text(text)
    return folder


def write_challenge(
    folder: Path, archive: bool = False, records: dict[str, dict[int, str]] | None = None
) -> Path:
    """RECORDS, or others for the same outcomes, as folders or archives."""
    folder.mkdir()
    for name, texts in (records or RECORDS).items():
        (folder / f"Outcomes-{name[-1]}.txt").write_text(OUTCOMES[name[-1]])
        if archive:
            with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as tar:
                for record, text in texts.items():
                    info = tarfile.TarInfo(f"{name}/{record}.txt")
                    info.size = len(text.encode())
                    tar.addfile(info, io.BytesIO(text.encode()))
        else:
            (folder / name).mkdir()
            for record, text in texts.items():
                (folder / name / f"{record}.txt").write_text(text)
    return folder
