"""The pictures of a catalogue by URL: slices of its files in, one sealed unit a host out.

    slices -> read, validate -> URLs, once each -> group by host -> fetch, a host at a time

A host is one element, so its rate and its robots.txt are kept by one worker, whatever the runner. Pictures of rows that
are left out (schemas.validation.left_out_rows) are not fetched: with --group-rows the rows of each group are brought
together first.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import apache_beam as beam
import pyarrow as pa

from pipelines.console.progress import Progress
from pipelines.fetch_images.cache import HostCache
from pipelines.fetch_images.host import FetchRules, HostFetcher, Outcome, counts_of, remedy_of
from pipelines.run.bucket_rows import pack, split_by_bucket, unpack_table
from pipelines.run.counted import CountedDoFn
from pipelines.run.units import Unit, UnitWriter, finished_sidecar
from schemas.columns.mapping import catalogue_schema
from schemas.columns.raw_rows import FileSlice
from schemas.columns.spec import ColumnsOfTable
from schemas.errors import printable
from schemas.pictures.fetched import FETCH_REMEDIES, host_key
from schemas.pictures.urls import FETCHED_FOLDER, canonical_url, is_picture_url
from schemas.quarantine import Rejection, quote
from schemas.reading.rows import read_slice
from schemas.tables import LEAVE_OUT
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.left_out_rows import ORDER, SAYS_LEFT_OUT, without_left_out
from schemas.validation.rules import Limits

STAGE = "fetch-images"
#: The unit of what was read; those of hosts are named by their keys.
CATALOGUE_UNIT = "catalogue"
#: In place of a host, of URLs for which nothing can be asked.
_NO_HOST = ""
_COUNTS = "counts"
#: Parts that the rows of groups are brought together in.
_NUM_PARTS = 64
#: What of a validated row tells whether it is left out, and what is fetched for it.
_OF_ROWS = ("item_id", "images", "group", SAYS_LEFT_OUT.name, *ORDER)

#: (URL, how often it is listed, the least item id that lists it, None if only rows without one do).
ListedUrl = tuple[str, int, str | None]


class FetchHosts(beam.PTransform):
    """FileSlice in, the names of the sealed units out. call_id: tells this call's units from those of others."""

    def __init__(
        self,
        image_root: str,
        columns: ColumnsOfTable,
        rules: FetchRules,
        call_id: str,
        group_rows: str = "no",
    ):
        super().__init__(label="Fetch hosts")
        self.image_root, self.columns, self.rules, self.call_id = image_root, columns, rules, call_id
        self.group_rows = group_rows

    def expand(self, slices: beam.PCollection[FileSlice]) -> beam.PCollection[str]:
        read = (
            slices
            | "Spread slices" >> beam.Reshuffle()
            | "Read URLs" >> beam.ParDo(_ReadUrls(self.columns, self.group_rows)).with_outputs(_COUNTS, main="urls")
        )
        urls = read.urls
        if LEAVE_OUT.name in self.columns and self.group_rows != "no":
            parts = urls | "Group rows" >> beam.GroupByKey()
            urls = parts | "Without left out" >> beam.FlatMap(_urls_of_part, self.group_rows)
        counted = (
            read[_COUNTS]
            | "Sum" >> beam.CombineGlobally(_sum)
            | "Write counts" >> beam.Map(_seal_counts, self.image_root, self.call_id)
        )
        once_each = urls | "Once each" >> beam.CombinePerKey(_merged)
        num_urls = beam.pvalue.AsSingleton(once_each | "How many" >> beam.combiners.Count.Globally())
        hosts = (
            once_each
            | "By host" >> beam.Map(_by_host)
            | "Group by host" >> beam.GroupByKey()
            | "Fetch host" >> beam.ParDo(_FetchHost(self.image_root, self.rules, self.call_id), num_urls)
        )
        return (counted, hosts) | "Units" >> beam.Flatten()


def urls_of(images: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(host and port, canonical URL) of each http(s) URL among a row's pictures; of one that is none, no host and the
    text as it is.

    >>> list(urls_of(["a.jpg", "http://Shop.example/b.jpg", "https://"]))
    [('shop.example', 'http://shop.example/b.jpg'), ('', 'https://')]
    """
    for uri in images:
        if is_picture_url(uri):
            url = canonical_url(uri)
            yield (_NO_HOST, uri) if url is None else (urlsplit(url).netloc, url)


def fetch_host(
    image_root: str,
    host: str,
    listed: Iterable[ListedUrl],
    rules: FetchRules,
    writer: UnitWriter,
    advance: Callable[[int], None],
) -> None:
    """Fetches the pictures of one host and writes its counts and rejections. advance(n): n URLs more are settled."""
    rows = sorted(listed)
    items = {url: item_id for url, _, item_id in rows}
    outcomes, num_requests = [], 0
    if host == _NO_HOST:
        expected = "a whole http(s) URL without user name and password"
        outcomes = [
            Outcome(url=url, kind="failed", reason="bad_url", expected=expected, got=quote(url)) for url in items
        ]
        advance(len(outcomes))
    else:
        cache = HostCache(image_root, host)
        try:
            fetcher = HostFetcher(cache, rules)
            for outcome in fetcher.settle(items):
                outcomes.append(outcome)
                advance(1)
            num_requests = fetcher.rates.num_requests
        finally:
            cache.close()
    writer.counts.update(urls_listed=sum(count for _, count, _ in rows), urls_distinct=len(rows))
    writer.counts.update(counts_of(outcomes))
    writer.counts["requests"] += num_requests
    writer.quarantine(_rejection(outcome, items[outcome.url]) for outcome in outcomes if outcome.kind == "failed")


def _rejection(outcome: Outcome, item_id: str | None) -> Rejection:
    assert outcome.reason in FETCH_REMEDIES, outcome.reason
    return Rejection(
        level="picture",
        stage=STAGE,
        item_id=item_id,
        reason=outcome.reason,
        expected=outcome.expected,
        got=outcome.got,
        where=printable(outcome.url),
        remedy=remedy_of(outcome),
    )


class _ReadUrls(CountedDoFn):
    """((host, URL), (1, item id)) of each listed picture that is an http(s) URL; counts beside. Where others of its
    group tell whether a row is left out: (part, packed rows)."""

    def __init__(self, columns: ColumnsOfTable, group_rows: str):
        self.columns, self.group_rows = columns, group_rows

    def process(self, file_slice: FileSlice) -> Iterator[Any]:
        counts: Counter[str] = Counter()
        for raw in read_slice(file_slice, self.columns, catalogue_schema(self.columns)):
            good, _, found = validate_catalogue(raw, file_slice, Limits())
            counts.update({name: found[name] for name in ("rows_read", "rows_rejected", "pictures_listed")})
            if SAYS_LEFT_OUT.name in good.column_names and self.group_rows != "no":
                rows = good.select([name for name in _OF_ROWS if name in good.column_names])
                keys = rows["group" if "group" in rows.column_names else "item_id"].to_pylist()
                yield from ((part, pack(some)) for part, some in split_by_bucket(rows, keys, _NUM_PARTS))
            else:
                yield from _urls_of_rows(good, self.group_rows)
        yield beam.pvalue.TaggedOutput(_COUNTS, dict(counts))


def _urls_of_part(element: tuple[int, Iterable[bytes]], group_rows: str) -> Iterator[Any]:
    _, packed = element
    yield from _urls_of_rows(pa.concat_tables(map(unpack_table, packed)), group_rows)


def _urls_of_rows(rows: pa.Table, group_rows: str) -> Iterator[Any]:
    rows, _ = without_left_out(rows, group_rows)
    for item_id, images in zip(rows["item_id"].to_pylist(), rows["images"].to_pylist(), strict=True):
        for place in urls_of(images):
            yield place, (1, item_id)


class _FetchHost(CountedDoFn):
    def __init__(self, image_root: str, rules: FetchRules, call_id: str):
        self.image_root, self.rules, self.call_id = image_root, rules, call_id

    def process(self, element: tuple[str, Iterable[ListedUrl]], num_urls: int) -> Iterator[str]:
        host, listed = element
        unit = Unit(STAGE, host_key(host), self.call_id)
        folder = f"{self.image_root}/{FETCHED_FOLDER}"
        if finished_sidecar(folder, unit) is None:  # else a runner repeats what this call has done
            writer = UnitWriter(folder, unit)
            progress = Progress.shared(STAGE, "urls", num_urls)
            fetch_host(self.image_root, host, listed, self.rules, writer, progress.advance)
            writer.seal()
        yield unit.name


def _seal_counts(counts: Mapping[str, int], image_root: str, call_id: str) -> str:
    writer = UnitWriter(f"{image_root}/{FETCHED_FOLDER}", Unit(STAGE, CATALOGUE_UNIT, call_id))
    writer.counts.update(counts)
    writer.seal()
    return CATALOGUE_UNIT


def _by_host(found: tuple[tuple[str, str], tuple[int, str | None]]) -> tuple[str, ListedUrl]:
    (host, url), (count, item_id) = found
    return host, (url, count, item_id)


def _sum(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for some in counts:
        total.update(some)
    return total


def _merged(found: Iterable[tuple[int, str | None]]) -> tuple[int, str | None]:
    numbers, items = zip(*found, strict=True)
    return sum(numbers), min((item_id for item_id in items if item_id is not None), default=None)
