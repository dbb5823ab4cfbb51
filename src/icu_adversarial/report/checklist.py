"""The section that says which guideline asks for which section of the report."""

from collections.abc import Sequence
from html import escape

from icu_adversarial.report.html import Raw, Section, bullets, heading, paragraph, table

# By section: the items of TRIPOD+AI, the domains of PROBAST+AI, the paragraphs of article 15.
ASKED = {
    "cohort": (
        "5a data, 6b eligibility, 20a flow of participants",
        "participants and data sources",
        "",
    ),
    "coverage": ("9b predictors, 11 missing data", "predictors", ""),
    "comparison": (
        "12e measures of performance, 14 fairness, 16 training and evaluation, 21 numbers of "
        "participants and events, 23a performance with intervals and by group",
        "analysis",
        "15(1) and 15(3): level of accuracy, and its metrics",
    ),
    "calibration": ("12e measures of performance, 23a performance", "analysis", "15(1), 15(3)"),
    "attack": (
        "12e measures of performance, 26 limitations",
        "analysis",
        "15(5): resistance to adversarial examples",
    ),
    "maps": (
        "25 interpretation, 27a handling of poor or missing inputs",
        "predictors",
        "15(4): errors and inconsistencies of inputs; 15(5): adversarial examples",
    ),
    "easily-flipped": (
        "14 fairness, 23a performance by group",
        "analysis",
        "15(4), 15(5), by group of persons",
    ),
    "settings": (
        "12a use of the data, 12c building of the model, 18f code, 22 full model",
        "analysis",
        "15(3): accuracy can be measured again",
    ),
}
MISSING = (
    "TRIPOD+AI items 1 to 4: title, abstract, background, objectives.",
    "TRIPOD+AI items 5b, 6a and 6c: dates, setting and treatments.",
    "TRIPOD+AI items 8b, 8c and 9c: how outcome and predictors were assessed.",
    "TRIPOD+AI items 10, 17, 18a to 18e and 19: sample size, ethics, funding, conflicts of "
    "interest, protocol, registration, data, and involvement of patients and the public.",
    "TRIPOD+AI items 24, 26 and 27: updating, limitations and use in current care.",
    "PROBAST+AI: a person must answer the signalling questions, and judge the applicability.",
    "Article 15(2) is addressed to the Commission. Article 15(5) also asks for measures against "
    "poisoned data and models and against attacks on confidentiality. They are not tested here.",
)
SOURCES = (
    "TRIPOD+AI: Collins et al. 2024, BMJ 385:e078378.",
    "PROBAST+AI: Moons et al. 2025, BMJ 388:e082505.",
    "Article 15: Regulation (EU) 2024/1689 (Artificial Intelligence Act).",
)


def checklist(sections: Sequence[Section]) -> Section:
    """Which guideline asks for which section.

    Args:
        sections: The sections before this one.
    """
    rows = [
        (Raw(f'<a href="#{section.name}">{escape(section.title)}</a>'), *ASKED[section.name])
        for section in sections
        if section.name in ASKED
    ]
    head = ["section", "TRIPOD+AI", "PROBAST+AI domain", "EU AI Act"]
    return Section(
        "checklist",
        "Checklist of guidelines",
        [
            paragraph(
                "The table says where this report has what a guideline asks for. It does not say "
                "that the guideline is fulfilled: a person must judge this."
            ),
            table("Sections and guidelines", head, rows),
            heading("What a person must add"),
            bullets(MISSING),
            heading("Sources"),
            bullets(SOURCES),
        ],
    )
