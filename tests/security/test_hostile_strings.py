"""Ids and titles that would act on a terminal, a page or a file system: printed escaped, never part of a file name."""

import io
import json
import time
from contextlib import redirect_stderr, redirect_stdout

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from security_helpers import publish_by_hand

from pipelines import search
from pipelines.console.exit_codes import exit_code
from pipelines.ingest import job as ingest
from pipelines.serving.searcher import Searcher
from schemas.errors import CorruptFileError, UsageError
from schemas.quarantine import MAX_QUOTED_CHARACTERS, quote
from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices, read_slice
from schemas.records.embeddings import validate_embeddings
from schemas.tables import CATALOGUE
from schemas.validation.catalogue import validate_catalogue

STRINGS = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;window title\x07",
    "\x1b[2J\x1b[H",
    "\x9b31m",
    "bell\x07 back\x08 delete\x7f",
    "one\nrank   score  id\n   1   1.000  forged",
    "carriage\rreturn",
    "\u2028line\u2029paragraph\x85next",
    "\u202egnp.exe",
    "\u2066left\u2069\u200f\u061c",
    "zero\u200bwidth\ufeff",
    "<script>alert(document.cookie)</script>",
    "\"><img src=x onerror=alert(1)>",
    "../../../../etc/passwd",
    "/etc/cron.d/x",
    "..",
    ".",
    "~root",
    "con.txt:stream",
    "nul\0byte",
    "$(touch trace) `touch trace` ; touch trace | touch trace",
    "%s%n%x{0.__class__}",
    "'; drop table items; --",
    "=cmd|' /C calc'!A0",
    "\U000e0041\U000e0042 tags",
    "a" * 500,
]  # fmt: skip


def acts_on_a_terminal(text: str) -> bool:
    return not all(c.isprintable() or c == "\n" for c in text)


@pytest.fixture(scope="module")
def hostile_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    publish_by_hand(folder / "store", STRINGS, [text * 2 for text in reversed(STRINGS)])
    return folder / "store"


def printed(argv: list[str]) -> tuple[int, str]:
    shown = io.StringIO()
    with redirect_stdout(shown), redirect_stderr(shown):
        code = search.main(argv)
    return code, shown.getvalue()


@pytest.mark.parametrize("item", [text for text in STRINGS if "\0" not in text])
def test_search_prints_nothing_that_acts(hostile_store, item):
    code, text = printed(["--store", str(hostile_store), f"--item={item}", "--top", str(len(STRINGS))])
    assert code == 0
    assert not acts_on_a_terminal(text)
    assert len(text.splitlines()) == len(STRINGS), "an id or title broke the table's lines"
    assert "\\x1b" in text
    code, text = printed(["--store", str(hostile_store), f"--item={item}", "--top", "40", "--json"])
    assert code == 0
    assert text.isascii()
    assert not acts_on_a_terminal(text)
    assert {result["item_id"] for result in json.loads(text)["results"]} == set(STRINGS) - {item}


@pytest.mark.parametrize("item", [text + "?" for text in STRINGS if "\0" not in text])
def test_errors_about_queries_are_fit_to_print(hostile_store, item):
    code, text = printed(["--store", str(hostile_store), f"--item={item}"])
    assert code == 2
    assert not acts_on_a_terminal(text)
    assert len(text) < 2_000
    answers = list(
        search.answer_lines(Searcher(str(hostile_store)), [item.encode(), json.dumps({"item": item}).encode()], 3)
    )
    assert not acts_on_a_terminal(json.dumps(answers))


@pytest.mark.medium
def test_ten_megabytes_are_cut_where_they_are_printed():
    huge = "\x1b" * (10 << 20)
    started_s = time.process_time()
    assert len(quote(huge)) <= MAX_QUOTED_CHARACTERS
    line = json.dumps({"query_id": 1, "item": huge}).encode()
    (parsed,) = [search.parse_query(line, 1)]
    assert isinstance(parsed.query, UsageError)
    assert len(str(parsed.query)) < 1_000
    with pytest.raises(CorruptFileError) as caught:
        validate_embeddings(pa.array([huge, huge]), pa.array([0.0] * 4).to_numpy().astype("f4").reshape(2, 2), "x")
    assert len(str(caught.value)) < 1_000
    assert not acts_on_a_terminal(str(caught.value))
    assert time.process_time() - started_s < 5


def ingested(tmp_path, rows):
    pq.write_table(pa.Table.from_pylist(rows, schema=CATALOGUE), tmp_path / "catalog.parquet")
    config = ingest.IngestConfig(run=str(tmp_path / "run"), catalog=str(tmp_path / "catalog.parquet"), num_buckets=2)
    shown = io.StringIO()
    with redirect_stdout(shown), redirect_stderr(shown):
        code = exit_code(lambda: ingest.run(config, PipelineOptions(["--runner=FnApiRunner"])) and None)
    return code, shown.getvalue()


def test_ids_never_become_file_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"item_id": text, "title": text, "images": [text]} for text in STRINGS]
    rows += [{"item_id": text, "title": "again", "images": []} for text in STRINGS]
    code, text = ingested(tmp_path, rows)
    assert code == 0
    assert not acts_on_a_terminal(text)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    buckets = [f"bucket-0000{n}-of-00002" for n in range(2)]
    assert names == {
        "catalog.parquet",
        "run/manifests/items.json",
        *(f"run/items/{name}.parquet" for name in buckets),
        *(f"run/quarantine/items-{name}.parquet" for name in buckets),
        *(f"run/units/items/{name}.json" for name in buckets),
    }
    ids = [value for name in buckets for value in pq.read_table(f"run/items/{name}.parquet")["item_id"].to_pylist()]
    unseen = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
    assert sorted(ids) == sorted(text.strip().strip(unseen).strip() for text in STRINGS)
    for name in buckets:
        for row in pq.read_table(f"run/quarantine/items-{name}.parquet").to_pylist():
            assert row["reason"] == "duplicate_id"
            for column in ("got", "where", "expected", "remedy"):
                assert row[column].isprintable()
                assert len(row[column]) < 500


def test_a_catalogue_of_bad_rows_alone_says_so_fit_to_print(tmp_path):
    code, text = ingested(tmp_path, [{"item_id": "\x1b[2J" * 500, "title": None, "images": []}] * 3)
    assert code == 3
    assert not acts_on_a_terminal(text)


@pytest.mark.parametrize("name", ["\x1b[31m", "a\nb", "\u202e", "a" * 100_000])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_names_of_columns_are_printed_escaped(tmp_path, name, kind):
    path = tmp_path / f"catalog.{kind}"
    if kind == "csv":
        path.write_text(f'"{name}",b\n1,2\n')
    elif kind == "jsonl":
        path.write_text(json.dumps({name: 1}) + "\n")
    else:
        pq.write_table(pa.table({name: [1]}), path)
    with pytest.raises(UsageError) as caught:
        check_columns([str(path)], {}, CATALOGUE)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_000


def test_names_of_files_are_printed_escaped(tmp_path):
    folder = tmp_path / "\x1b[31m\n\u202e"
    folder.mkdir()
    for name, data in (("a.jsonl", b"{\n"), ("b.jsonl", b'{"item_id": "x"}\n')):
        (folder / name).write_bytes(data)
    (tmp_path / "c.jsonl").write_bytes(b'{"item_id": 1.5}\n')
    files = [str(folder / "a.jsonl"), str(folder / "b.jsonl"), str(tmp_path / "c.jsonl")]
    rejections = []
    for file_slice in plan_slices(files):
        for raw in read_slice(file_slice, {}, CATALOGUE):
            rejections += validate_catalogue(raw, file_slice)[1]
    assert len(rejections) == 2
    assert all(rejection.where.isprintable() for rejection in rejections)
    (folder / "d.parquet").write_bytes(b"PAR1" * 3)
    with pytest.raises(CorruptFileError) as caught:
        plan_slices([str(folder / "d.parquet")])
    assert str(caught.value).isprintable()


def test_what_a_command_prints_of_any_error_is_fit_to_print():
    """The last gate: whatever text an error brings along."""
    for kind in (UsageError, CorruptFileError):
        shown = io.StringIO()

        def fail(kind=kind):
            raise kind("\n".join(STRINGS))

        with redirect_stderr(shown):
            exit_code(fail)
        assert not acts_on_a_terminal(shown.getvalue())
        assert shown.getvalue().count("\n") == 1
