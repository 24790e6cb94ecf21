"""What is ranked beside the model, task by task: the baselines that its queries and the training log allow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from model.measures.baselines import RememberedLog, TextScorer, fused_by_rank
from model.measures.comparison import START
from model.measures.evaluation import HeldOutTask, ScoreBlock
from model.measures.picture_baselines import unit
from pipelines.evaluate.evaluated_run import EvaluatedRun
from pipelines.evaluate.plan import Evaluation
from pipelines.evaluate.start import EvaluatedStart

#: Every method, in the order of reports; its name says what it falls back on.
METHODS = (
    "itemsage",
    START,
    "tfidf",
    "character_tfidf",
    "bm25",
    "text_encoder",
    "hybrid",
    "bm25_expanded",
    "hybrid_expanded",
    "remembered_else_bm25",
    "raw_pictures",
    "remembered_else_raw_pictures",
    "nearest_photo",
    "nearest_picture",
    "picture_vote",
    "logistic_probe",
    "popularity",
    "random",
)
#: What is fused with the text encoder alone, by rank: the method that finds words.
HYBRIDS = {"hybrid": "bm25", "hybrid_expanded": "bm25_expanded"}


@dataclass(frozen=True)
class Baselines:
    """scorers: by name. left_out: name -> why it is not measured."""

    scorers: Mapping[str, ScoreBlock]
    left_out: Mapping[str, str] = field(default_factory=dict)


def _block_of(scorer: TextScorer, task: HeldOutTask) -> ScoreBlock:
    return lambda rows: scorer.scores([task.queries[row] for row in rows])


def text_baselines(planned: Evaluation, task: HeldOutTask) -> Baselines:
    """Of a task whose queries are text. Those made of the training log only if it has a text query."""
    scorers, left_out = text_scorers(planned.evaluated, planned, letters=planned.wants_letters)
    blocks = {name: _block_of(scorer, task) for name, scorer in scorers.items()}
    if planned.evaluated.has_text_encoder:
        blocks["text_encoder"] = planned.evaluated.text_encoder_scores(task.queries)
        blocks |= {
            name: _fused(blocks[of_words], blocks["text_encoder"])
            for name, of_words in HYBRIDS.items()
            if of_words in blocks
        }
    if planned.wants_start:
        _add_start(planned, lambda start: start.text_scores(task.queries), blocks, left_out)
    return _with_popularity(planned, blocks, left_out)


def text_scorers(
    evaluated: EvaluatedRun, planned: Evaluation | None, *, letters: bool
) -> tuple[dict[str, TextScorer], dict[str, str]]:
    """What scores any text query by words and letters, by name; and name -> why it is left out. planned: with the
    training log, None: nothing is made of one. letters: TF-IDF of letters too."""
    scorers: dict[str, TextScorer] = {"tfidf": evaluated.tfidf}
    left_out = {}
    if letters and (why := evaluated.why_no_character_tfidf) is not None:
        left_out["character_tfidf"] = why
    elif letters:
        scorers["character_tfidf"] = evaluated.character_tfidf
    scorers["bm25"] = evaluated.bm25
    if planned is not None and planned.training.text_pairs:
        scorers |= {"bm25_expanded": planned.expanded_bm25, "remembered_else_bm25": planned.remembered}
    return scorers, left_out


def picture_baselines(planned: Evaluation, task: HeldOutTask, vectors_QD: np.ndarray) -> Baselines:
    """Of a task whose queries are pictures with these vectors of the picture network. Those made of training photos
    only if the training pictures have been read."""
    assert planned.pictures is not None
    evaluated = planned.evaluated
    raw_QD = unit(vectors_QD)
    scorers: dict[str, ScoreBlock] = {"raw_pictures": lambda rows: raw_QD[rows] @ evaluated.picture_means_ND.T}
    left_out: dict[str, str] = {}
    if planned.wants_start:
        _add_start(planned, lambda start: start.picture_scores(vectors_QD), scorers, left_out)
    if planned.training.picture_pairs:
        place_of = {uri: place for place, uri in enumerate(task.queries)}
        remembered = RememberedLog(
            planned.training.picture_pairs,
            lambda uris: raw_QD[[place_of[uri] for uri in uris]] @ evaluated.picture_means_ND.T,
            planned.pictures.content,
        )
        scorers["remembered_else_raw_pictures"] = lambda rows: remembered.scores([task.queries[row] for row in rows])
    if planned.has_training_photos:
        scorers["nearest_photo"] = lambda rows: planned.nearest_photo.scores(raw_QD[rows])
        scorers["nearest_picture"] = lambda rows: planned.nearest_picture.scores(raw_QD[rows])
        if (vote := planned.picture_vote(task.name)) is not None:
            scorers["picture_vote"] = lambda rows: vote.scores(raw_QD[rows])
        else:
            left_out["picture_vote"] = f"expected a training photo of {task.name}, got none"
        if planned.why_no_probe is None:
            scorers["logistic_probe"] = lambda rows: planned.logistic_probe.scores(raw_QD[rows])
        else:
            left_out["logistic_probe"] = planned.why_no_probe
    return _with_popularity(planned, scorers, left_out)


def _fused(*blocks: ScoreBlock) -> ScoreBlock:
    return lambda rows: fused_by_rank([block(rows) for block in blocks])


def _add_start(
    planned: Evaluation,
    ask: Callable[[EvaluatedStart], ScoreBlock],
    scorers: dict[str, ScoreBlock],
    left_out: dict[str, str],
) -> None:
    if isinstance(planned.start, str):
        left_out[START] = planned.start
    else:
        scorers[START] = ask(planned.start)


def _with_popularity(
    planned: Evaluation, scorers: dict[str, ScoreBlock], left_out: Mapping[str, str] | None = None
) -> Baselines:
    popularity_N = planned.training.popularity_N
    if popularity_N is not None:
        scorers["popularity"] = lambda rows: np.broadcast_to(popularity_N, (len(rows), len(popularity_N)))
    return Baselines(scorers, left_out or {})
