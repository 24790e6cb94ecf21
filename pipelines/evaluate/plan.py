"""Planning an evaluation: everything that a report depends on is settled, what only computing it needs waits."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.measures.baselines import BM25, RememberedLog, expanded_texts
from model.measures.evaluation import HeldOutTask
from model.measures.picture_baselines import (
    LogisticProbe,
    NearestPhoto,
    NearestPicture,
    PictureVote,
    unit,
    why_no_probe,
)
from model.split.split_labels import assign
from model.text.tokenizer import only_words
from pipelines.console.thresholds import LogThresholds
from pipelines.evaluate.evaluated_run import EvaluatedRun
from pipelines.evaluate.inputs import engaged_items, held_out_tasks, known_pairs, read_query_rows
from pipelines.evaluate.query_pictures import QueryPictures
from pipelines.evaluate.start import EvaluatedStart, start_of
from pipelines.evaluate.training_log import TrainingLog
from pipelines.gates.log import require_sound_log
from pipelines.log.training_rows import rows_hash
from schemas.columns.mapping import table_columns
from schemas.days import UTC_NAME

MAX_QUERIES = 2_000
#: Of one evaluation by hand: some minutes of a picture network on a few cores.
MAX_TRAINING_PICTURES = 10_000


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What an evaluation on engagements is asked for.

    engagements, date: the files (date stands for {date}, and rows after its end in time_zone are left out). image_root:
    the folder that query pictures start from, None: they are not asked. columns: our tables' columns by the shop's
    names. verify_images: read each query picture again. include_train: keep the model's training part. max_queries:
    distinct queries a task, sampled. max_training_pictures: so many query pictures of the training part are read, for
    the baselines that are made of them; 0: there are none. letters: TF-IDF of letters too, a minute of a big catalogue.
    start: the model before its training too, which embeds every item. log_thresholds: what the log must keep, None:
    that was asked before.
    """

    engagements: str
    image_root: str | None
    date: str | None
    time_zone: str = UTC_NAME
    columns: Mapping[str, Any]
    verify_images: bool = False
    include_train: bool = False
    max_queries: int = MAX_QUERIES
    max_training_pictures: int = 0
    letters: bool = False
    start: bool = False
    log_thresholds: LogThresholds | None = None


class Evaluation:
    """A planned evaluation: everything it depends on is known, no tower is loaded.

    rows: QUERY_ROWS that count, with rows_hash; rows_read: counts of the engagement files, which change nothing else.
    pictures: the query pictures with their vectors, and those of the training part that were asked for, None if no
    picture can be asked. Tasks and baselines are made when first needed: a report that is taken over needs neither.
    """

    def __init__(
        self, evaluated: EvaluatedRun, request: EvaluationRequest, rows: pa.Table, rows_read: Mapping[str, int]
    ):
        self.evaluated, self.rows_read, self.rows_hash = evaluated, rows_read, rows_hash(rows)
        self.pictures: QueryPictures | None = None
        self.wants_letters, self.wants_start = request.letters, request.start
        self._request, self._rows = request, rows

    @cached_property
    def _held_out(self) -> pa.ChunkedArray:
        """bool [rows]"""
        return pc.equal(assign(self.evaluated.split, self._rows), "test")

    @property
    def picture_tasks(self) -> tuple[HeldOutTask, ...]:
        return self._of_pictures[0]

    @property
    def tasks(self) -> tuple[HeldOutTask, ...]:
        """Held-out pairs of each surface and action, by name."""
        return tuple(sorted(self._of_pictures[0] + self._of_texts[0], key=lambda task: task.name))

    def completed(self, task: HeldOutTask) -> HeldOutTask:
        """The task with the clusters of its queries, and with what they are known to have engaged: by any action and in
        any part of the log. Queries are one that are one to the split and to what calls them seen: text of the same
        words, pictures of equal content where they have been read, else of the same path."""
        return replace(
            task,
            known_K2=known_pairs(task.queries, *self._engaged[tower_of(task.name)]),
            cluster_of_Q=self.evaluated.groups_of_queries(task.name.split("/")[0], task.queries),
        )

    @cached_property
    def _engaged(self) -> dict[str, tuple[dict[str, np.ndarray], Callable[[str], str]]]:
        """tower -> (items by the key of the query, for the queries of its tasks, the key)."""
        is_text = pc.equal(self._rows["surface"], "search")
        content = str if self.pictures is None else self.pictures.content
        queries = {
            tower: [query for task in tasks for query in task.queries]
            for tower, (tasks, _) in (("text", self._of_texts), ("picture", self._of_pictures))
        }
        return {
            tower: (engaged_items(self._rows.filter(rows), self.evaluated.row_of, key, queries[tower]), key)
            for tower, rows, key in (("text", is_text, only_words), ("picture", pc.invert(is_text), content))
        }

    @cached_property
    def training(self) -> TrainingLog:
        """What the log tells of the model's training part."""
        of_training = self._rows.filter(pc.invert(self._held_out))
        return TrainingLog(of_training, self.evaluated.row_of, self.evaluated.split.held_out)

    @cached_property
    def expanded_bm25(self) -> BM25:
        """Over the items' text and the queries of the training part that they were engaged after."""
        return BM25(expanded_texts(self.evaluated.item_texts, self.training.text_pairs))

    @cached_property
    def remembered(self) -> RememberedLog:
        return RememberedLog(self.training.text_pairs, self.evaluated.bm25.scores)

    def _photos(self, pairs: Iterable[tuple[str, int]]) -> tuple[np.ndarray, np.ndarray]:
        """(unit vectors [M, D], rows of their items int64 [M]) of those (picture, row of its item) whose pictures have
        been read and are good; a picture that was engaged with two items is there twice."""
        assert self.pictures is not None
        known = [(uri, row) for uri, row in sorted(pairs) if self.pictures.has_vector(uri)]
        vectors_MD, _ = self.pictures.vectors([uri for uri, _ in known])
        return unit(vectors_MD), np.array([row for _, row in known], np.int64)

    @cached_property
    def _training_photos(self) -> tuple[np.ndarray, np.ndarray]:
        return self._photos(self.training.picture_pairs)

    @property
    def has_training_photos(self) -> bool:
        """Whether any has been read and is good."""
        return len(self._training_photos[0]) > 0

    @cached_property
    def nearest_photo(self) -> NearestPhoto:
        return NearestPhoto(*self._training_photos, self.evaluated.picture_means_ND)

    @cached_property
    def nearest_picture(self) -> NearestPicture:
        evaluated = self.evaluated
        return NearestPicture(self._training_photos, evaluated.catalogue_pictures, len(evaluated.item_ids))

    def picture_vote(self, task: str) -> PictureVote | None:
        """By the task's own training photos; None if it has none."""
        photos_MD, labels_M = self._photos(self.training.pairs_of(task))
        return PictureVote(photos_MD, labels_M, self.evaluated.picture_means_ND) if len(labels_M) else None

    @property
    def why_no_probe(self) -> str | None:
        """None if `logistic_probe` can be had."""
        return why_no_probe(*self._training_photos)

    @cached_property
    def logistic_probe(self) -> LogisticProbe:
        return LogisticProbe(*self._training_photos, len(self.evaluated.item_ids))

    @cached_property
    def start(self) -> EvaluatedStart | str:
        """The model before its training, or why it cannot be had."""
        return start_of(self.evaluated)

    @property
    def rows_planned(self) -> dict[str, int]:
        """Counts of the rows that count but are not ranked."""
        held_out = pc.sum(self._held_out, min_count=0).as_py()
        return {"rows_of_training_part": len(self._rows) - held_out} | (self._of_pictures[1] + self._of_texts[1])

    @cached_property
    def _of_pictures(self) -> tuple[tuple[HeldOutTask, ...], Counter[str]]:
        return self._tasks_of("picture")

    @cached_property
    def _of_texts(self) -> tuple[tuple[HeldOutTask, ...], Counter[str]]:
        return self._tasks_of("text")

    def _tasks_of(self, tower: str) -> tuple[tuple[HeldOutTask, ...], Counter[str]]:
        """The tasks of a tower's surfaces, and counts of the rows of unknown items."""
        rows = self._rows if self._request.include_train else self._rows.filter(self._held_out)
        surfaces = [name for name in pc.unique(rows["surface"]).to_pylist() if tower_of(name) == tower]
        rows = rows.filter(pc.is_in(rows["surface"], pa.array(surfaces, rows["surface"].type)))
        counts: Counter[str] = Counter()
        if not len(rows):  # then no item id need be read
            return (), counts
        return held_out_tasks(rows, self.evaluated.row_of, self._request.max_queries, counts), counts


def plan_evaluation(evaluated: EvaluatedRun, request: EvaluationRequest, previous: Path | None = None) -> Evaluation:
    """Reads the engagements and settles the query pictures; see QueryPictures for `previous`. Raises ThresholdError for
    a log that does not keep its thresholds."""
    columns = table_columns(request.columns, "engagements")
    rows, rows_read, rejected = read_query_rows(request.engagements, request.date, request.time_zone, columns)
    if request.log_thresholds is not None:
        require_sound_log(rejected, request.log_thresholds, "the run is evaluated")
    planned = Evaluation(evaluated, request, rows, rows_read)
    if request.image_root is not None and evaluated.encoder.has_tower("picture"):
        uris = [uri for task in planned.picture_tasks for uri in task.queries]
        if uris:
            planned.pictures = QueryPictures(
                evaluated.encoder, request.image_root, evaluated.run, previous, request.verify_images
            )
            planned.pictures.resolve([*uris, *planned.training.pictures(request.max_training_pictures)])
    return planned


def tower_of(surface_or_task: str) -> Literal["text", "picture"]:
    """
    >>> tower_of("search"), tower_of("closeup/click")
    ('text', 'picture')
    """
    return "text" if surface_or_task.split("/")[0] == "search" else "picture"
