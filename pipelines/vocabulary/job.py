"""Items to the vocabulary: the most frequent words, bigrams and character trigrams of the catalogue's text.

    python -m pipelines.vocabulary --run RUN

Output: <run>/vocabulary/ (model.text.vocabulary), one unit named "all". With --mode hashing nothing is counted.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa

from model.text.tokenizer import TOKENIZER_VERSION
from model.text.vocabulary import DESCRIPTION_FILE, KINDS, MODES, PAPER_SIZES, PAPER_TABLE_SIZE, Vocabulary
from pipelines.console.jobs import flag
from pipelines.run.counted import CountedDoFn
from pipelines.run.stage import RunCall, Stage, job_of
from pipelines.run.units import Unit, UnitWriter, finished_sidecar, read_stage_manifest
from pipelines.vocabulary.count_tokens import CountTokens
from schemas.errors import UsageError
from schemas.files import read_json
from schemas.hashing import fingerprint

STAGE = "vocabulary"
UNIT = "all"
CODE_VERSION = 1
#: Neighbouring bucket files are counted together, so that a common token leaves a group once; at most this many groups.
MAX_GROUPS = 64


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """Counts the tokens of all text fields of a run's items and keeps the most frequent ones of each kind."""

    run: str = flag(path=True, help="run folder that holds items/; vocabulary/ is written there")
    max_words: int = flag(default=PAPER_SIZES["word"], help="word unigrams kept")
    max_bigrams: int = flag(default=PAPER_SIZES["bigram"], help="word bigrams kept")
    max_trigrams: int = flag(default=PAPER_SIZES["trigram"], help="character trigrams kept")
    min_count: int = flag(default=1, help="occurrences that a token needs to be kept")
    mode: str = flag(default="vocabulary", choices=MODES, help="hashing: no vocabulary, every token hashes to a row")
    hashing_size: int = flag(default=PAPER_TABLE_SIZE, help="rows of the weight table in mode hashing")


def group_paths(paths: Sequence[str], max_groups: int = MAX_GROUPS) -> list[tuple[str, ...]]:
    """Neighbouring paths in at most `max_groups` groups of nearly equal size.

    >>> group_paths(["a", "b", "c"], 2)
    [('a', 'b'), ('c',)]
    """
    size = max(1, -(-len(paths) // max_groups))
    return [tuple(paths[start : start + size]) for start in range(0, len(paths), size)]


class MakeVocabulary(Stage[VocabularyConfig]):
    """One unit; if it is there for the same items and flags, nothing is counted again."""

    name = STAGE
    config_class = VocabularyConfig
    code_versions = (CODE_VERSION,)

    @classmethod
    def given(cls, call: RunCall) -> dict[str, Any]:
        return {"mode": call.config.vocabulary_mode}

    @functools.cached_property
    def units(self) -> list[Unit]:
        """Raises UsageError for sizes out of range, CorruptFileError if the items stage is not finished."""
        return [_plan(self.config)[0]]

    @functools.cached_property
    def todo(self) -> list[Unit]:
        return [unit for unit in self.units if finished_sidecar(self.run, unit) is None]

    def define(self, root: beam.Pipeline) -> beam.PCollection[dict[str, Any]]:
        config, (unit, paths, num_items) = self.config, _plan(self.config)
        if config.mode == "hashing":
            hashing = Vocabulary.hashing(config.hashing_size)
            return root | beam.Create([unit]) | "Write" >> beam.Map(lambda unit: write(config.run, unit, hashing, 0))
        sizes = dict(zip(KINDS, (config.max_words, config.max_bigrams, config.max_trigrams), strict=True))
        return (
            root
            | "Groups" >> beam.Create(group_paths(paths))
            | CountTokens(sizes, config.min_count, num_items)
            | "Write" >> beam.ParDo(_WriteVocabulary(config.run, unit))
        )

    def facts(self) -> dict[str, Any]:
        description = read_json(Path(self.run, STAGE, DESCRIPTION_FILE))
        return {"vocabulary_id": description["id"], "mode": self.config.mode, "size": description["size"]}

    def shown(self, counts: dict[str, int]) -> dict[str, int]:
        return {**counts, "reused": int(not self.todo)}


def write(run: str, unit: Unit, vocabulary: Vocabulary, num_items: int) -> dict[str, Any]:
    """Writes <run>/vocabulary and seals the unit; returns its sidecar."""
    writer = UnitWriter(run, unit)
    vocabulary.write_files(lambda name: writer.file(f"vocabulary/{name}"))
    writer.counts.update(items_read=num_items, **{f"{kind}s_written": size for kind, size in vocabulary.sizes.items()})
    return writer.seal()


def _plan(config: VocabularyConfig) -> tuple[Unit, list[str], int | None]:
    """The unit, the item files and the number of items, if the items stage counted them."""
    least = {"max_words": 0, "max_bigrams": 0, "max_trigrams": 0, "min_count": 1, "hashing_size": 2}
    for name, minimum in least.items():
        if getattr(config, name) < minimum:
            raise UsageError(f"expected --{name.replace('_', '-')} >= {minimum}, got {getattr(config, name)}")
    if config.mode not in MODES:
        raise UsageError(f"expected --mode {' or '.join(MODES)}, got {config.mode!r}")
    if config.mode == "hashing":
        content = [CODE_VERSION, TOKENIZER_VERSION, config.mode, config.hashing_size]
        return Unit(STAGE, UNIT, fingerprint(content)), [], None
    items = read_stage_manifest(config.run, "items")
    files = sorted((entry["path"], entry["sha256"]) for entry in items["files"] if entry["path"].startswith("items/"))
    limits = [config.max_words, config.max_bigrams, config.max_trigrams, config.min_count]
    content = [CODE_VERSION, TOKENIZER_VERSION, config.mode, limits, sorted(digest for _, digest in files)]
    paths = [str(Path(config.run, path)) for path, _ in files]
    return Unit(STAGE, UNIT, fingerprint(content)), paths, items["counts"].get("rows_written")


class _WriteVocabulary(CountedDoFn):
    def __init__(self, run: str, unit: Unit):
        self.run, self.unit = run, unit

    def process(self, counted: tuple[pa.Table, int]) -> Iterable[dict[str, Any]]:
        tokens, num_items = counted
        yield write(self.run, self.unit, Vocabulary("vocabulary", tokens), num_items)


EXAMPLE = "itemsage vocabulary --run store/training/2026-06-30/0123456789abcdef --min-count 2"
build, run, main = job_of(MakeVocabulary, EXAMPLE)
