"""Small stores made by hand, for tests of the commands that operate a store: finished runs of a few 4-d vectors."""

import datetime
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from run_builder import RunBuilder

from schemas.files import write_json, write_text

MODEL, OTHER_MODEL = "itemsage-000000000001", "itemsage-000000000002"
#: item -> angle in degrees of its vector in the plane of the first two axes.
ITEMS = {"a": 0.0, "b": 10.0, "c": 20.0}
HOUR_S = 3600


def unit_vectors(angles: Mapping[str, float], dim: int = 4) -> np.ndarray:
    """float32 [N, dim] in the order of the sorted names."""
    radians = np.radians([angles[name] for name in sorted(angles)])
    matrix_ND = np.zeros((len(radians), dim), np.float32)
    matrix_ND[:, 0], matrix_ND[:, 1] = np.cos(radians), np.sin(radians)
    return matrix_ND


def make_run(
    store: Path,
    date: str = "2026-06-30",
    number: int = 1,
    *,
    items: Mapping[str, float] = ITEMS,
    model: str = MODEL,
    finished: bool = True,
    reasons: Mapping[str, int] | None = None,
    hours_ago: float = 0,
) -> Path:
    """A run whose last change was so many hours ago; its model is in the store afterwards."""
    run = store / "runs" / date / f"{number:016x}"
    (run / "features").mkdir(parents=True)
    write_text(run / "index" / "items.ann", f"index of {number}")
    titles = [{"item_id": name, "title": f"title of {name}"} for name in sorted(items)]
    builder = RunBuilder(run, model).items(titles).embeddings(sorted(items), unit_vectors(items))
    builder.listed("index", "index", model_id=model)
    builder.stage("features", counts={f"reason:{name}": count for name, count in (reasons or {}).items()})
    if finished:
        builder.publish()
        write_json(run / "times.json", {"total": 1.5})
    age(run, hours_ago)
    make_model(store, model, hours_ago=1000)
    return run


def make_model(store: Path, model: str = MODEL, training_run: str | None = None, hours_ago: float = 0) -> Path:
    """A model folder with nothing but a manifest; left as it is if it is there."""
    folder = store / "models" / model
    if not folder.exists():
        source = {} if training_run is None else {"training_run": training_run}
        write_json(folder / "manifest.json", {"model_id": model, **source})
        age(folder, hours_ago)
    return folder


def age(path: Path, hours_ago: float) -> None:
    """Sets the modification times of a folder and all in it, or of a file."""
    moment_s = time.time() - hours_ago * HOUR_S
    for parent, folders, names in os.walk(path):
        for name in (*folders, *names):
            os.utime(os.path.join(parent, name), (moment_s, moment_s), follow_symlinks=False)
    os.utime(path, (moment_s, moment_s))


def move(
    store: Path,
    run: Path,
    *,
    why: str = "published",
    reason: str | None = None,
    hours_ago: float = 0,
    only_meant: bool = False,
) -> None:
    """Readers went to `run` so many hours ago; only_meant: the history has it, CURRENT has not."""
    pointer = store / "CURRENT"
    left = pointer.read_text().strip() if pointer.exists() else None
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours_ago)
    name = "/".join(run.parts[-3:])
    with open(store / "history.jsonl", "a") as file:
        line = {"from": left, "reason": reason, "time": moment.isoformat(), "to": name, "why": why}
        file.write(json.dumps(line) + "\n")
    if not only_meant:
        pointer.write_text(name + "\n")
        age(pointer, hours_ago)
