"""Up to when the item model of a run's vectors was trained: on its own days everything looks good."""

import math
from pathlib import Path

from model.split import Split
from pipelines.history import RUN_NAME
from schemas.days import Calendar

#: A split that is not by time has training rows of any day.
ANY_DAY = math.inf


def trained_until_us(run: str | Path, model_id: str) -> float | None:
    """The first instant after the engagements that the model of these vectors trains on, validation and gap included
    (microseconds since 1970); ANY_DAY for a split by item or query; None for a model that trains on no engagement, or
    that the run's store does not have.

    Raises CorruptFileError for a damaged split.
    """
    folder = Path(run).resolve()
    model = folder.parents[2] / "models" / model_id if RUN_NAME.fullmatch("/".join(folder.parts[-3:])) else None
    if model is None or Path(model_id).name != model_id or not (model / "split.json").is_file():
        return None
    split = Split.load(model)
    if split.kind == "none":
        return None
    return ANY_DAY if split.test_start_us is None else split.test_start_us


def days_trained_on(run: str | Path, model_id: str, days: range, calendar: Calendar) -> int | None:
    """How many of these days (since 1970, of the calendar) begin before `trained_until_us`; None where that is."""
    until_us = trained_until_us(run, model_id)
    return None if until_us is None else sum(calendar.start_us(day) < until_us for day in days)
