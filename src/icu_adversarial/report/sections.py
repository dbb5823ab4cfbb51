"""The report: the list of its sections. A new section is one function and one line here."""

from collections.abc import Callable

from icu_adversarial.report.attack import maps, summary
from icu_adversarial.report.checklist import checklist
from icu_adversarial.report.cohort import cohort_flow, coverage
from icu_adversarial.report.flipped import easily_flipped
from icu_adversarial.report.html import Section
from icu_adversarial.report.inputs import Results
from icu_adversarial.report.model import calibration, comparison
from icu_adversarial.report.opening import SYNTHETIC, opening
from icu_adversarial.report.page import page
from icu_adversarial.report.settings import settings

SECTIONS: tuple[Callable[[Results], Section], ...] = (
    cohort_flow,
    coverage,
    comparison,
    calibration,
    summary,
    maps,
    easily_flipped,
    settings,
)
TITLE = "How easily predictions are flipped by changes of the record"


def report(results: Results) -> str:
    """Write the report. It has no number of a single patient."""
    sections = [section(results) for section in SECTIONS]
    label = SYNTHETIC if results.synthetic else ""
    return page(TITLE, label, opening(results), [*sections, checklist(sections)])
