"""Up to when the item model of a run's vectors was trained: on its own days everything looks good."""

from pathlib import Path

from model.items.manifest import MANIFEST_FILE
from model.split.split import Split
from pipelines.store.history import RUN_NAME
from schemas import storage
from schemas.days import Calendar
from schemas.files import read_json
from schemas.log_ends import ANY_DAY, LOG_END


def trained_until_us(run: str | Path, model_id: str) -> float | None:
    """The first instant after the engagements that the model of these vectors trains on, validation and gap included
    (microseconds since 1970): of a split by time its test part, of others the end of the log; ANY_DAY for a model that
    does not tell it (older ones); None for one that trains on no engagement, or that the run's store does not have.

    Raises CorruptFileError for a damaged split or manifest.
    """
    folder = Path(storage.real_path(run))
    model = folder.parents[2] / "models" / model_id if RUN_NAME.fullmatch("/".join(folder.parts[-3:])) else None
    if model is None or Path(model_id).name != model_id or not storage.has_file(model / "split.json"):
        return None
    split = Split.load(model)
    if split.kind == "none":
        return None
    if split.test_start_us is not None:
        return split.test_start_us
    manifest = model / MANIFEST_FILE
    return float(read_json(manifest).get(LOG_END, ANY_DAY)) if storage.has_file(manifest) else ANY_DAY


def days_trained_on(run: str | Path, model_id: str, days: range, calendar: Calendar) -> int | None:
    """How many of these days (since 1970, of the calendar) begin before `trained_until_us`; None where that is."""
    until_us = trained_until_us(run, model_id)
    return None if until_us is None else sum(calendar.start_us(day) < until_us for day in days)
