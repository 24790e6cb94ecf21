"""Files made to be slow, deep or large: read in bounded time and memory, or refused with a clear error."""

import gzip
import json
import resource
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.console.config_file import read_config_file
from pipelines.daily.config import DailyConfig
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json
from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import CATALOGUE
from schemas.validation.catalogue import validate_catalogue

pytestmark = pytest.mark.medium


def read(path):
    """(good rows, rejections) of a catalogue file."""
    check_columns([str(path)], {}, CATALOGUE)
    good, rejections = 0, []
    for file_slice in plan_slices([str(path)]):
        for raw in read_slice(file_slice, {}, CATALOGUE):
            rows, rejected, _ = validate_catalogue(raw, file_slice)
            good += rows.num_rows
            rejections += rejected
    return good, rejections


def seconds_of(call, *arguments):
    started_s = time.process_time()
    result = call(*arguments)
    return result, time.process_time() - started_s


@pytest.mark.parametrize("line", [b'x",",y\n', b'"\n', b'"""\n', b'a,"b\n', b'","\n', b'"" "\n'])
def test_csv_quotes_that_never_close_do_not_take_quadratic_time(tmp_path, line):
    """The first of these opens a quote on every line and closes none: each row could be tried with all that follow."""
    path = tmp_path / "catalog.csv"
    path.write_bytes(b"item_id,title\n" + line * 3_000 + b"good,row\n")
    (good, rejections), seconds = seconds_of(read, path)
    assert good + len(rejections) <= 3_001
    assert rejections or good
    assert seconds < 10


def test_gzip_bombs_are_read_in_pieces(tmp_path):
    path = tmp_path / "catalog.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(b'{"item_id": "a"}\n')
        for _ in range(200):
            file.write(b" " * (1 << 20))
        file.write(b'\n{"item_id": "b"}\n')
    assert path.stat().st_size < 1 << 20
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    good, rejections = read(path)
    assert good == 2
    assert [rejection.reason for rejection in rejections] == ["broken_line"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 150_000


DEEP = ["[" * 100_000, '{"a":' * 100_000, "[" * 500 + "]" * 500, '{"a":' * 500 + "1" + "}" * 500]


@pytest.mark.parametrize("text", DEEP)
def test_json_that_nests_too_deep_is_a_clear_error(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CorruptFileError, match=r"levels|Expecting"):
        read_json(tmp_path / "manifest.json")
    (tmp_path / "catalog.jsonl").write_text(f'{{"item_id": "a"}}\n{{"item_id": {text}}}\n{{"item_id": "b"}}\n')
    good, rejections = read(tmp_path / "catalog.jsonl")
    assert good == 2
    assert len(rejections) == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{\0}\0", b"{", b"NaN x", b"9" * 5_000, b'"\xed\xa0\x80"'])
def test_json_that_is_none_is_a_clear_error(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"manifest\.json"):
        read_json(tmp_path / "manifest.json")
    with pytest.raises(CorruptFileError, match="JSON file"):
        read_json(tmp_path)
    with pytest.raises(CorruptFileError, match="JSON file"):
        read_json(tmp_path / "manifest.json" / "below")


@pytest.mark.parametrize(
    "text",
    [
        "catalog = " + "[" * 100_000,
        "catalog = " + "[" * 400 + "]" * 400,
        "catalog = " + "{a=" * 100_000,
        "[" + "a." * 20_000 + "a]",
        "batch_size = " + "9" * 5_000,
        "max_rejected = 1e400" + "0" * 5_000,
        "catalog = 'x'\ncatalog = 'y'",
        "\x00",
        "catalog = '\x1b[2J",
    ],
)
def test_configs_that_are_bombs_are_a_clear_error(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text)

    def refused():
        with pytest.raises(UsageError) as caught:
            read_config_file(str(path), DailyConfig, "daily")
        return str(caught.value)

    message, seconds = seconds_of(refused)
    assert message.isprintable()
    assert len(message) < 2_000
    assert seconds < 10


def test_a_number_too_large_for_a_float_is_a_clear_error(tmp_path):
    path = tmp_path / "config.toml"
    name = next(n for n, f in DailyConfig.__dataclass_fields__.items() if f.type in (float, "float"))
    path.write_text(f"{name} = {'9' * 400}\n")
    with pytest.raises(UsageError, match=f"float for {name}"):
        read_config_file(str(path), DailyConfig, "daily")


@pytest.mark.parametrize("zone", ["Mars/Olympus_Mons", "../../../etc/passwd", "/etc/passwd", "\x1b[2J", "A" * 10_000])
def test_time_zones_that_are_none_cost_rows_not_the_run(tmp_path, zone):
    times = pa.array([0, 2**62], pa.int64()).view(pa.timestamp("us", tz=zone))
    table = pa.table({"item_id": ["a", "b"], "title": times, "images": pa.array([["x"], []])})
    pq.write_table(table, tmp_path / "catalog.parquet")
    good, rejections = read(tmp_path / "catalog.parquet")
    assert good + len(rejections) == 2
    assert all(rejection.got.isprintable() and len(rejection.got) <= 250 for rejection in rejections)


def test_hostile_parquet_metadata_is_not_believed(tmp_path):
    """Metadata of pandas, of Arrow and of us, that is none."""
    table = pa.table({"item_id": ["a"], "images": pa.array([["x"]])})
    for number, metadata in enumerate(
        [
            {"pandas": "{" * 100_000, "ARROW:extension:name": "arrow.json"},
            {"\x1b[2J": "\xff" * 1_000},
            {json.dumps("\ud800"): "[" * 100_000},
            {f"key-{n}": "x" for n in range(20_000)},
        ]
    ):
        path = tmp_path / f"catalog-{number}.parquet"
        pq.write_table(table.replace_schema_metadata(metadata), path)
        assert read(path) == (1, [])


def test_wide_files_are_read_by_the_columns_that_are_ours(tmp_path):
    names = [f"column-{n}" for n in range(3_000)]
    pq.write_table(pa.table([["a"]] * 3_001, names=["item_id", *names]), tmp_path / "catalog.parquet")
    assert read(tmp_path / "catalog.parquet") == (1, [])
    (tmp_path / "no_id.csv").write_text(",".join(names) + "\n")
    with pytest.raises(UsageError) as caught:
        read(tmp_path / "no_id.csv")
    assert len(str(caught.value)) < 2_000
