"""A published run made by hand to recommend from: 12 kinds of items, users with a few interests each."""

from pathlib import Path

import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from published_users import write_published_users
from run_builder import RunBuilder

from pipelines.index import job as index
from schemas.files import read_sealed_json, sha256_of_file, write_sealed_json, write_text

MODEL, DIM, NUM_ITEMS, NUM_KINDS = "itemsage-000000000001", 16, 600, 12
NOW_US, DAY_US = 1_782_864_000_000_000, 86_400_000_000
HOSTILE_USER, HOSTILE_ITEM, HOSTILE_TITLE = "eve\x1b[2J\u202e", "item\x1b]0;x\x07-599", "title\x1b[31m\n"
USERS = [*(f"user-{n:03d}" for n in range(300)), HOSTILE_USER]


def item_ids() -> list[str]:
    return sorted([*(f"item-{n:03d}" for n in range(NUM_ITEMS - 1)), HOSTILE_ITEM])


def vectors() -> np.ndarray:
    """Item n is of kind n % NUM_KINDS; every 25th is equal to the item NUM_KINDS after it."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((NUM_KINDS, DIM))
    found = centres[np.arange(NUM_ITEMS) % NUM_KINDS] + 0.25 * generator.standard_normal((NUM_ITEMS, DIM))
    twins = np.arange(0, NUM_ITEMS - NUM_KINDS, 25)
    found[twins + NUM_KINDS] = found[twins]
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def actions() -> dict[str, list[tuple[int, int]]]:
    """Each user acts on 2 to 30 items of up to five kinds; low rows are popular."""
    found = {}
    for number, user in enumerate(USERS):
        generator = np.random.default_rng(number)
        kinds = generator.integers(NUM_KINDS, size=1 + number % 5)
        count = 2 + number % 29
        places = (generator.random(count) ** 3 * (NUM_ITEMS // NUM_KINDS)).astype(int)
        rows = places * NUM_KINDS + generator.choice(kinds, count)
        times = NOW_US - generator.integers(1, 90 * DAY_US, count)
        found[user] = list(zip(rows.tolist(), times.tolist(), strict=True))
    return found


def make_store(store: Path, refine_cosine: float = 0.0, alpha: float = 0.4, **facts: object) -> Path:
    """facts: others of the users' manifest."""
    run = store / "runs" / "2026-06-30" / "0123456789abcdef"
    make_items(run, refine_cosine)
    write_published_users(run, actions(), item_ids(), vectors(), model_id=MODEL, now_us=NOW_US, alpha=alpha, **facts)
    seal(run)
    point_to(run)
    return run


def make_items(run: Path, refine_cosine: float = 0.0) -> None:
    """The stages of a run but the users."""
    titles = [{"item_id": name, "title": HOSTILE_TITLE if "\x1b" in name else None} for name in item_ids()]
    RunBuilder(run, MODEL).embeddings(item_ids(), vectors()).items(titles)
    index.run(index.IndexConfig(run=str(run), refine_cosine=refine_cosine), PipelineOptions(["--runner=FnApiRunner"]))


def point_to(run: Path) -> None:
    """Makes the run the published one of its store."""
    store = run.parents[2]
    write_text(store / "CURRENT", run.relative_to(store).as_posix() + "\n")


def seal(run: Path) -> None:
    """The run's manifest and COMPLETED, over its files as they are now listed by their stages."""
    RunBuilder(run, MODEL).publish()


def reseal(run: Path) -> None:
    """A manifest that vouches for the users' files as they are now: who forges them may forge it too."""
    path = run / "manifests" / "users.json"
    facts = read_sealed_json(path)
    files = [{**entry, "sha256": sha256_of_file(run / entry["path"])} for entry in facts["files"]]
    write_sealed_json(path, facts | {"files": files})
    seal(run)
