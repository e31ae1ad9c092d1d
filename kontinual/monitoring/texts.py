"""What an alert tells the person who reads it. `$value` is the quantity's."""

from kontinual.spec import AlertKind

__all__ = ["alert_texts"]

_NUMBER = '{{ $value | printf "%.3f" }}'
_SHARE = "{{ $value | humanizePercentage }}"
_OF = "of {{ $labels.model }}, version {{ $labels.version }},"

_TEXTS: dict[AlertKind, tuple[str, str]] = {
    AlertKind.FEATURE_DRIFT: (
        "Feature {{ $labels.feature }} of {{ $labels.model }} no longer looks as in training",
        f"The stability index of feature {{{{ $labels.feature }}}} {_OF} over the last "
        f"{{window}} is {_NUMBER}; more than {{threshold}} asks for {{action}}.",
    ),
    AlertKind.PREDICTION_DRIFT: (
        "The scores of {{ $labels.model }} are no longer spread as on its holdout",
        f"The stability index of the scores {_OF} over the last {{window}} is {_NUMBER}; "
        "more than {threshold} asks for {action}.",
    ),
    AlertKind.LOW_CONFIDENCE: (
        "{{ $labels.model }} is unsure more often than on its holdout",
        f"The share of rows with a confidence under 0.6 {_OF} over the last {{window}} is "
        f"{_SHARE} higher than on the holdout; more than {{threshold}} asks for {{action}}.",
    ),
    AlertKind.INPUT_ANOMALIES: (
        "Requests to {{ $labels.model }} are malformed or out of range",
        f"{_SHARE} of the requests {_OF} over the last {{window}} had a missing, extra, ill-typed, "
        "null, unseen or out-of-range value; more than {threshold} asks for {action}.",
    ),
    AlertKind.QUALITY_DECAY: (
        "{{ $labels.model }} ranks worse than when it was made",
        f"The ROC AUC {_OF} by the labels of the last {{window}} is {_NUMBER} below that of its "
        "holdout; more than {threshold} asks for {action}.",
    ),
    AlertKind.GROUP_BIAS: (
        "{{ $labels.model }} is off in different ways for groups of {{ $labels.slice }}",
        f"The gap between mean score and share of positives {_OF} differs by {_NUMBER} "
        "between groups of {{ $labels.slice }} over the last {window}; "
        "more than {threshold} asks for {action}.",
    ),
    AlertKind.MODEL_AGE: (
        "The champion of {{ $labels.model }} is old",
        "Version {{ $labels.version }} of {{ $labels.model }} was made "
        '{{ $value | printf "%.0f" }} days ago; more than {threshold} asks for {action}.',
    ),
    AlertKind.NEW_LABELS: (
        "Many new labelled rows wait for {{ $labels.model }}",
        '{{ $value | printf "%.0f" }} labelled rows of {{ $labels.model }} are in no span yet; '
        "more than {threshold} asks for {action}.",
    ),
    AlertKind.SERVICE_DOWN: (
        "Service {{ $labels.service }} of {{ $labels.model }} does not answer",
        '{{ $value | printf "%.0f" }} of service {{ $labels.service }} can not be reached, or '
        "Prometheus knows none; more than {threshold} asks for {action}.",
    ),
    AlertKind.TRIGGER_WAITING: (
        "A trigger of {{ $labels.model }} waits to be looked at",
        "The oldest trigger of {{ $labels.model }} that nothing was decided about has waited for "
        '{{ $value | printf "%.0f" }} s; more than {threshold} asks for {action}.',
    ),
    AlertKind.LAUNCH_FAILURES: (
        "Runs of {{ $labels.model }} can not be started",
        '{{ $value | printf "%.0f" }} times in the last {window} a run of {{ $labels.model }} '
        "could not be started; more than {threshold} asks for {action}.",
    ),
    AlertKind.LEDGER_ERRORS: (
        "The ledger of {{ $labels.model }} fails",
        '{{ $value | printf "%.0f" }} times in the last {window} the ledger of '
        "{{ $labels.model }} could not be read or written; more than {threshold} asks for "
        "{action}.",
    ),
}


def alert_texts(kind: AlertKind, **values: str) -> tuple[str, str]:
    """Summary and description; `{window}`, `{threshold}`, `{action}` are filled in here.

    The rest, in double braces, is Prometheus' to fill in when the alert fires.
    """
    summary, description = _TEXTS[kind]
    for name, value in values.items():
        # str.format would take the double braces for escapes.
        description = description.replace("{" + name + "}", value)
    return summary, description
