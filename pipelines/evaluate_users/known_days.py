"""Whether the item vectors that users are evaluated on know the days that are asked: on those everything looks good."""

from collections.abc import Mapping
from pathlib import Path

from pipelines.one_embedding.vectors import log_end_us, unified_log_end_us
from pipelines.run.item_vectors import VectorsSource
from pipelines.run.listed_files import EMBEDDINGS, UNIFIED
from pipelines.run.opened import Run
from pipelines.stages import SOURCES
from pipelines.users.training import trained_until_us
from schemas import storage
from schemas.log_ends import log_in_words
from schemas.quarantine import quote


def learnt_until_us(source: VectorsSource) -> float | None:
    """The first instant after the log that these vectors have learnt from (microseconds since 1970), as the run tells
    that they lie in: of a source its log's end, of unified vectors the last of all that they are made of, of the item
    model's see trained_until_us; ANY_DAY where a log was read whose end is not told; None of vectors that have read
    none, or of which nobody knows.

    Raises CorruptFileError for damaged manifests.
    """
    folder = Path(storage.real_path(source.where))
    if folder.name == EMBEDDINGS and folder.parent.name in SOURCES and Run(folder.parents[1]).has(folder.parent.name):
        return log_end_us(Run(folder.parents[1]), folder.parent.name)
    run = Run(folder.parent)
    if folder.name == UNIFIED and run.has(UNIFIED):
        return unified_log_end_us(run)
    return trained_until_us(run.folder, source.model_id) if folder.name == EMBEDDINGS else None


def warnings_of(sources: Mapping[str, VectorsSource], first_us: int, from_date: str) -> list[str]:
    """A sentence for each of the vectors, by name, that have learnt from the log after the first asked day's begin."""
    found = []
    for name, source in sources.items():
        until = learnt_until_us(source)
        if until is not None and until > first_us:
            found.append(
                f"the vectors {quote(name)} have learnt from {log_in_words(until)}, and the first day asked is "
                f"{from_date}: all looks better on them than on days to come. Give a later --from, or "
                "vectors of an earlier --date"
            )
    return found
