"""Items to the vocabulary: the most frequent words, bigrams and character trigrams of the catalogue's text.

    python -m pipelines.vocabulary --run RUN

Output: <run>/vocabulary/ (model.text.vocabulary), one unit named "all". With --mode hashing nothing is counted.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from model.text.tokenizer import TOKENIZER_VERSION
from model.text.vocabulary import DESCRIPTION_FILE, KINDS, MODES, PAPER_SIZES, PAPER_TABLE_SIZE, Vocabulary
from pipelines.console.jobs import flag, main_of, print_summary
from pipelines.console.progress import Progress
from pipelines.run.units import Unit, UnitWriter, finished_sidecar, read_stage_manifest, write_stage_manifest
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


def build(root: beam.Pipeline, config: VocabularyConfig) -> beam.PCollection[dict[str, Any]]:
    """Defines the job; runs nothing. The sidecar of the one unit comes out. Workers in other working folders need
    absolute paths (with_absolute_paths)."""
    unit, paths, num_items = _plan(config)
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


def write(run: str, unit: Unit, vocabulary: Vocabulary, num_items: int) -> dict[str, Any]:
    """Writes <run>/vocabulary and seals the unit; returns its sidecar."""
    writer = UnitWriter(run, unit)
    vocabulary.write_files(lambda name: writer.file(f"vocabulary/{name}"))
    writer.counts.update(items_read=num_items, **{f"{kind}s_written": size for kind, size in vocabulary.sizes.items()})
    return writer.seal()


def run(config: VocabularyConfig, options: PipelineOptions) -> dict[str, Any]:
    """Makes the run's vocabulary, unless it is there for the same items and flags, and returns the stage manifest.

    Raises UsageError for sizes out of range, CorruptFileError if the items stage is not finished.
    """
    started_s = time.monotonic()
    unit, _, _ = _plan(config)
    reused = finished_sidecar(config.run, unit) is not None
    if not reused:
        with beam.Pipeline(options=options) as pipeline:
            build(pipeline, config)
        Progress.close_shared(STAGE)
    description = read_json(Path(config.run, STAGE, DESCRIPTION_FILE))
    manifest = write_stage_manifest(
        config.run, STAGE, [UNIT], vocabulary_id=description["id"], mode=config.mode, size=description["size"]
    )
    print_summary(STAGE, {**manifest["counts"], "reused": int(reused)}, started_s, f"{config.run}/vocabulary")
    return manifest


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


class _WriteVocabulary(beam.DoFn):
    def __init__(self, run: str, unit: Unit):
        self.run, self.unit = run, unit

    def process(self, counted: tuple[pa.Table, int]) -> Iterable[dict[str, Any]]:
        tokens, num_items = counted
        yield write(self.run, self.unit, Vocabulary("vocabulary", tokens), num_items)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage vocabulary --run store/training/2026-06-30/0123456789abcdef --min-count 2"
    return main_of(VocabularyConfig, run, argv, "itemsage vocabulary", example)
