"""What was done, in five sentences made of the numbers of the run."""

from icu_adversarial.analyze.groups import DIRECTIONS, pooled
from icu_adversarial.report.attack import block
from icu_adversarial.report.html import interval, number, paragraph, titled
from icu_adversarial.report.inputs import Attack, Results
from icu_adversarial.report.look import goal

MEASUREMENTS = 3  # that are named
SYNTHETIC = (
    "Synthetic data: the patients are invented. The numbers say nothing about real patients."
)
PATIENTS = {"0→1": "survivors", "1→0": "deaths"}


def opening(results: Results) -> list[str]:
    """The five sentences, a warning about the data, and how to read the page, as HTML."""
    sentences = [results.worded(text) for text in (_data(results), _model(results))]
    sentences += [_scores(results), *(results.worded(text) for text in _attack(results))]
    warning = results.scores["warning"]
    return [
        paragraph(*sentences),
        f'<p class="warning" role="note">{results.worded(warning)}.</p>' if warning else "",
        paragraph(
            "The page needs no network. Every control works with the keyboard: Tab goes to the "
            "next one, and the arrow keys change its value. Below each figure, tables have its "
            "numbers. Groups of fewer than 5 patients are not shown."
        ),
    ]


def _data(results: Results) -> str:
    first, last = results.cohort.iloc[0], results.cohort.iloc[-1]
    stays, deaths = int(last.stays), int(last.deaths)
    return (
        f"The data source, {results.source}, has {int(first.stays):,} ICU stays; {stays:,} of "
        f"them, of {int(last.subjects):,} patients, fulfil the rules of the cohort, and "
        f"{deaths:,} ({deaths / stays:.1%}) have the outcome, {results.outcome}."
    )


def _model(results: Results) -> str:
    network, folds = results.network["hyperparameters"], len(results.network["epochs"])
    measured = int((results.coverage.stays.astype(int) > 0).sum())
    hours = max(attack.cells.end_hour.max() for attack in results.attacks.values())
    return (
        f"A neural network ({network['architecture']}, {network['n_lstm']} units) was trained to "
        f"predict this outcome from {measured} measurements in the first {hours} hours in the "
        f"ICU, {folds} times, each time without one of {folds} parts of the patients."
    )


def _scores(results: Results) -> str:
    scores = results.scores["test"]
    own, other = (
        interval(*(scores[model]["auroc"][key] for key in ("value", "low", "high")), form=".3f")
        for model in ("network", "gradient_boosting")
    )
    return (
        f"On {results.scores['stays']['test']:,} stays of other patients, its AUROC with the 95 % "
        f"interval is {own}, and that of gradient boosting is {other}."
    )


def _attack(results: Results) -> tuple[str, str]:
    objective, attack = next(iter(results.attacks.items()))
    blocks = {direction: block(attack, direction) for direction in DIRECTIONS}
    flipped = " and ".join(
        f"{number(found['best']['success_rate'], '.1%')} of {found['attacked']:,} "
        f"{PATIENTS[direction]}"
        for direction, found in blocks.items()
    )
    changed = " and ".join(
        f"{number(found['best']['median_l0'])} for the {PATIENTS[direction]}"
        for direction, found in blocks.items()
    )
    return (
        f"An attack with the goal '{goal(objective)}' searched a change of the record that turns "
        f"the prediction, and found one for {flipped}.",
        f"The median number of changed values is {changed}, and the measurements that change "
        f"most are {_named(attack)}.",
    )


def _named(attack: Attack) -> str:
    """The first measurements by A, of both directions."""
    parts = []
    for direction in DIRECTIONS:
        ranked = pooled(attack.ranking.astype({"rank": float}), direction, "best")
        known = ranked[(ranked.known == "1") & (ranked.a.astype(float) > 0)]
        names = [titled(name) for name in known.measurement.head(MEASUREMENTS)]
        if names:
            several = f"{', '.join(names[:-1])} and {names[-1]}"
            parts.append(f"{several if names[1:] else names[0]} for the {PATIENTS[direction]}")
    return ", and ".join(parts) or "none"
