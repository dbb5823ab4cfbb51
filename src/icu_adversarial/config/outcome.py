"""`outcome` of params.yaml: a name, or a name with a number of days."""

from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from icu_adversarial.core.outcomes import PLAIN, WITH_DAYS, Outcome, outcome_of

# The schema is for docs/configuration.md.
Predicted = Annotated[
    Outcome,
    PlainValidator(outcome_of),
    PlainSerializer(lambda outcome: outcome.setting),
    WithJsonSchema({"enum": [*PLAIN, *(f"{{{name}: N}}" for name in WITH_DAYS)]}),
]
