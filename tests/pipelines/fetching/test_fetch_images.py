"""The command on a small catalogue: counts that add up, nothing twice, and features find what was fetched."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from features_runs import quarantine_of, records_of
from features_shop import png
from random_models import IMAGE_ENCODER, WEIGHTS_NAME, write_image_weights

from model.pictures.faults import DEFAULT_LIMITS, PictureError
from model.pictures.files import read_picture
from model.text.vocabulary import Vocabulary
from pipelines.console.jobs import beam_options
from pipelines.features import job as features
from pipelines.features.plan import FeaturesConfig
from pipelines.features.resolve_pictures import all_unchanged, look_up
from pipelines.fetch_images import job as fetch_images
from pipelines.fetch_images.job import FetchImagesConfig
from pipelines.ingest import job as ingest
from pipelines.ingest.config import IngestConfig
from schemas.errors import ThresholdError, UsageError
from schemas.pictures.urls import fetched_path
from schemas.quarantine import quote

pytest_plugins = ["fault_fixtures"]
pytestmark = pytest.mark.slow

SCHEMA = pa.schema([("item_id", pa.string()), ("title", pa.string()), ("images", pa.list_(pa.string()))])
POLITE_ENOUGH = {"max_requests_per_host_s": 500.0, "allow_private": True}


def write_catalogue(folder: Path, rows: list[tuple[str | None, list[str]]]) -> str:
    table = [{"item_id": item_id, "title": f"title {item_id}", "images": images} for item_id, images in rows]
    path = folder / "catalog.parquet"
    pq.write_table(pa.Table.from_pylist(table, schema=SCHEMA), path)
    return str(path)


@pytest.fixture
def fetch(tmp_path) -> Callable[..., dict[str, Any]]:
    """Fetches the pictures of these rows into `images`; returns the counts."""

    def run(rows: list[tuple[str | None, list[str]]], **changes: Any) -> dict[str, Any]:
        given = {"catalog": write_catalogue(tmp_path, rows), "image_root": str(tmp_path / "images"), **POLITE_ENOUGH}
        return fetch_images.run(FetchImagesConfig(**{**given, **changes}), beam_options([]))["counts"]

    return run


def test_each_url_is_fetched_once_and_the_counts_add_up(fetch, server, tmp_path, capsys):
    good = [server.put(f"/{number}.png", png(number)) for number in range(3)]
    rows = [
        ("a", [good[0], good[1], "local.png"]),
        ("b", [good[1].upper().replace("/1.PNG", "/1.png"), server.url("/gone.png")]),
        ("c", [good[2], good[2] + "#zoom", "http://user:secret@shop.example/a.png", "s3://bucket/a.png"]),
        (None, [server.url("/of-a-bad-row.png")]),
    ]
    counts = fetch(rows)
    assert counts["urls_listed"] == 7
    assert (counts["urls_distinct"], counts["urls_fetched"], counts["urls_failed"]) == (5, 3, 2)
    assert (counts["reason:not_found"], counts["reason:bad_url"]) == (1, 1)
    assert counts["bytes_fetched"] == sum(len(png(number)) for number in range(3))
    assert (counts["rows_read"], counts["rows_rejected"]) == (4, 1)
    assert sorted(server.asked) == ["/0.png", "/1.png", "/2.png", "/gone.png", "/robots.txt"]
    assert counts["requests"] == len(server.asked)
    for number, url in enumerate(good):
        assert (tmp_path / "images" / str(fetched_path(url))).read_bytes() == png(number)
    shown = capsys.readouterr()
    assert "rows read 4, rows rejected 1, urls listed 7, urls distinct 5, urls fetched 3, " in shown.out
    assert "failed 1 bad_url, 1 not_found" in shown.err

    server.asked.clear()
    again = fetch(rows)
    assert server.asked == []
    assert (again["urls_fresh"], again["urls_fetched"], again["urls_failed"]) == (3, 0, 2)


def test_the_quarantine_says_which_status_and_whose_picture(fetch, server, tmp_path):
    server.answers["/a.png"] = 410, {}, b""
    good = server.put("/good.png", png(0))
    fetch([("b", [server.url("/a.png"), good]), ("a", [server.url("/a.png")])])
    rows = quarantine_of(str(tmp_path / "images" / "fetched"))
    assert [(row["item_id"], row["reason"], row["where"]) for row in rows] == [("a", "gone", server.url("/a.png"))]
    assert rows[0]["got"] == "HTTP 410 'Gone'"
    assert rows[0]["remedy"]
    fetch([("b", [good])])  # what another call rejected is not this one's
    assert quarantine_of(str(tmp_path / "images" / "fetched")) == []


def test_several_hosts_are_asked_each_for_its_robots_txt(fetch, server):
    first = server.put("/a.png", png(0))
    second = first.replace("127.0.0.1", "localhost")
    counts = fetch([("a", [first, second])])
    assert counts["urls_fetched"] == 2
    assert server.asked.count("/robots.txt") == 2


def test_no_picture_at_all_is_a_failed_call(fetch, server, tmp_path):
    with pytest.raises(ThresholdError, match=r"none of 1 URLs \(1 not_found\)"):
        fetch([("a", [server.url("/a.png")])])
    with pytest.raises(ThresholdError, match="at least one valid row"):
        fetch([(None, [server.url("/a.png")])])
    config = ["--catalog", str(tmp_path / "catalog.parquet"), "--image-root", str(tmp_path / "images")]
    assert fetch_images.main(config) == 3


def test_private_addresses_are_refused_unless_allowed(fetch, server):
    with pytest.raises(ThresholdError, match=r"port_refused: .* or give --allow-private"):
        fetch([("a", [server.put("/a.png", png(0))])], allow_private=False)
    with pytest.raises(ThresholdError, match=r"private_address: .* or give --allow-private"):
        fetch([("a", ["http://127.0.0.1/a.png"])], allow_private=False)
    assert server.asked == []


def test_the_summary_names_the_flag_that_asks_private_addresses_too(fetch, server, capsys):
    there = server.put("/a.png", png(0))
    fetch([("a", [there])])
    capsys.readouterr()
    fetch([("a", [there, "http://127.0.0.1/b.png"])], allow_private=False)
    told = capsys.readouterr().err
    assert "failed 1 private_address: see " in told
    assert "\n  private_address: list a public URL, or give --allow-private" in told
    fetch([("a", [there, server.url("/gone.png")])])
    assert "--allow-private" not in capsys.readouterr().err


def test_a_catalogue_of_paths_is_nothing_to_do(fetch, server, capsys):
    counts = fetch([("a", ["local.png"])])
    assert "urls listed 0" in capsys.readouterr().out
    assert counts["pictures_listed"] == 1
    assert counts.get("urls_distinct", 0) == 0


@pytest.mark.parametrize(
    "flags",
    [
        {"max_requests_per_host_s": 0.0}, {"timeout_s": float("nan")}, {"concurrent_per_host": 0},
        {"refresh_days": -1.0}, {"user_agent": "x\r\nCookie: y"}, {"user_agent": ""}, {"max_picture_bytes": 0},
    ],
)  # fmt: skip
def test_flags_out_of_range(flags):
    with pytest.raises(UsageError, match="--"):
        FetchImagesConfig(catalog="x", image_root="y", **flags)


def test_the_features_stage_uses_what_was_fetched(fetch, server, tmp_path):
    urls = [server.put(f"/{number}.png?v=1", png(number)) for number in range(2)]
    rows = [("a", [urls[0], "local.png"]), ("b", [urls[1], server.url("/gone.png")])]
    images = tmp_path / "images"
    images.mkdir()
    (images / "local.png").write_bytes(png(7))
    weights = write_image_weights(tmp_path / "weights.pth")

    def features_of(name: str) -> dict[str, int]:
        run = str(tmp_path / name)
        ingest.run(IngestConfig(run=run, catalog=write_catalogue(tmp_path, rows), num_buckets=1), beam_options([]))
        Vocabulary.hashing(1000).save(tmp_path / name / "vocabulary")
        encoder = {"image_encoder": IMAGE_ENCODER, "image_weights": weights, "image_weights_name": WEIGHTS_NAME}
        config = FeaturesConfig(
            run=run,
            image_root=str(images),
            device="cpu",
            image_dtype="float32",
            reuse_from=str(tmp_path / "before") if name == "after" else None,
            **encoder,
        )
        return features.run(config, beam_options([]))["counts"]

    assert features_of("before")["pictures_quarantined"] == 3
    rejected = quarantine_of(str(tmp_path / "before"))
    assert {row["reason"] for row in rejected} == {"remote_uri"}
    assert all("itemsage fetch-images" in row["remedy"] for row in rejected)

    fetch(rows)
    counts = features_of("after")
    assert counts["pictures_quarantined"] == 1
    assert {item_id: len(record.pictures) for item_id, record in records_of(str(tmp_path / "after")).items()} == {
        "a": 2,
        "b": 1,
    }


def test_what_a_picture_server_says_lies_beside_the_pictures(fetch, server, tmp_path):
    url = server.put("/a.png", png(0), ETag='"x"')
    fetch([("a", [url])])
    (journal,) = (tmp_path / "images" / "fetched" / "hosts").iterdir()
    row = json.loads(journal.read_text())
    assert (row["url"], row["status"], row["etag"], row["bytes"]) == (url, 200, '"x"', len(png(0)))
    assert (tmp_path / "images" / row["path"]).read_bytes() == png(0)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_it_goes_on_where_it_stopped(when, server, commands, tmp_path):
    urls = [server.put(f"/{number}.png", png(number)) for number in range(6)]
    flags = ("--catalog", write_catalogue(tmp_path, [("a", urls)]), "--image-root", str(tmp_path / "images"))
    call = ("fetch-images", *flags, "--allow-private", "--max-requests-per-host-s=100", "--concurrent-per-host=1")
    die = when, f"*/{fetched_path(urls[3])}"
    assert commands.run(*call, die=die) == -signal.SIGKILL, commands.shown()
    killed_at = tmp_path / "images" / str(fetched_path(urls[3]))
    assert killed_at.exists() == (when == "after")
    assert commands.run(*call) == 0, commands.shown()
    assert len(server.pictures_asked()) <= len(urls) + 1  # the one that was being kept when the kill came, once more
    assert [(tmp_path / "images" / str(fetched_path(url))).read_bytes() for url in urls] == list(map(png, range(6)))
    assert not list(tmp_path.glob("images/fetched/??/.*"))


def test_rows_without_an_id_have_their_pictures_fetched_for_the_items_of_their_group(fetch, server, tmp_path):
    rows = [("coat", [server.put("/1.png", png(1))]), (None, [server.put("/2.png", png(2)), server.url("/gone.png")])]
    write_catalogue(tmp_path, rows)
    table = pq.read_table(tmp_path / "catalog.parquet").append_column("product", pa.array(["p", "p"]))
    pq.write_table(table, tmp_path / "grouped.parquet")
    grouped = {"columns": {"group": "product"}, "group_rows": "merge", "catalog": str(tmp_path / "grouped.parquet")}
    counts = fetch(rows, **grouped)
    assert (counts["rows_read"], counts["rows_rejected"], counts["urls_fetched"]) == (2, 0, 2)
    (rejected,) = quarantine_of(str(tmp_path / "images" / "fetched"))
    assert (rejected["item_id"], rejected["reason"]) == (None, "not_found")


@pytest.mark.parametrize(
    ("columns", "group_rows", "asked"),
    [
        ({}, "no", ["/0.png", "/1.png", "/2.png", "/3.png"]),
        ({"leave_out": {"state": ["draft"]}}, "no", ["/1.png", "/2.png", "/3.png"]),
        ({"leave_out": {"state": ["draft"]}}, "merge", ["/2.png", "/3.png"]),
        ({"leave_out": {"state": ["draft"]}, "group": "product"}, "merge", ["/3.png"]),
    ],
)
def test_pictures_of_rows_that_are_left_out_are_not_asked_for(
    fetch, server, tmp_path, monkeypatch, columns, group_rows, asked
):
    monkeypatch.setattr("schemas.reading.rows.MAX_BATCH_ROWS", 2)
    ids = ["coat", "coat", "hat", "mug"]
    rows = [(item_id, [server.put(f"/{number}.png", png(number))]) for number, item_id in enumerate(ids)]
    write_catalogue(tmp_path, rows)
    table = pq.read_table(tmp_path / "catalog.parquet").append_column("product", pa.array(["p", "p", "p", "q"]))
    table = table.append_column("state", pa.array(["Draft", None, None, "active"])).take([3, 2, 1, 0])
    pq.write_table(table, tmp_path / "states.parquet")
    counts = fetch(rows, columns=columns, group_rows=group_rows, catalog=str(tmp_path / "states.parquet"))
    assert sorted(server.pictures_asked()) == asked
    assert (counts["rows_read"], counts["urls_fetched"]) == (4, len(asked))


def test_an_id_is_that_of_the_whole_table_whichever_file_has_it(fetch, server, tmp_path):
    """A file of `7.0` and `1.10` says that a point is part of the ids; one code beside 301 of `7.0` is a slip."""
    path = server.put("/7.png", png(7))
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "a.csv").write_text("item_id,images,state\n7.0,,Draft\n1.10,,\n")
    numbers = [f"{number}.0,{path if number == 7 else ''}," for number in range(1, 301)]
    (folder / "b.csv").write_text("\n".join(["item_id,images,state", *numbers, ""]))
    counts = fetch([], columns={"leave_out": {"state": ["draft"]}}, group_rows="merge", catalog=str(folder))
    assert (server.pictures_asked(), counts["rows_read"]) == ([], 302)


def told_of(root: Path, uri: str) -> PictureError:
    """What a job says of a picture that cannot be read."""
    with pytest.raises(PictureError) as caught:
        read_picture(root, uri)
    error = caught.value
    found, _ = look_up(root, uri, DEFAULT_LIMITS)
    assert (found.reason, found.expected, found.got) == (error.reason, error.expected, error.got)
    again = PictureError(error.reason, error.expected, error.got)  # as a run keeps it from day to day
    assert again.remedy == error.remedy
    return error


def test_a_run_says_why_a_picture_was_not_fetched(fetch, server, tmp_path):
    root = tmp_path / "images"
    good, gone = server.put("/good.png", png(0)), server.url("/gone.png")
    page = server.put("/page.png", b"<html>no picture")
    large = server.put("/large.png", png(0) + b"0" * 500_000)
    bad = "http://user:secret@shop.example/a.png"
    fetch([("a", [good, gone, page, large, bad, "http://127.0.0.1:1/x.png"])], max_picture_bytes=400_000)
    expected = {
        gone: ("not_found, expected HTTP 200, got HTTP 404", "put the picture back, or drop its URL"),
        page: ("wrong_type, expected a picture, ", "list the URL of a picture, not of a page"),
        large: ("too_many_bytes, expected at most 400,000 bytes, got ", "a larger --max-picture-bytes"),
        "http://127.0.0.1:1/x.png": ("unreachable, expected an answer, ", "check the host's name"),
        bad: ("bad_url", "list a whole http(s) URL"),
    }
    for uri, (got, remedy) in expected.items():
        error = told_of(root, uri)
        assert error.reason == "remote_uri"
        assert error.got.startswith(f"{quote(uri)}, which was not fetched: {got}")
        assert error.remedy.startswith(remedy) or remedy in error.remedy
        assert error.remedy.endswith("; then call `itemsage fetch-images`")
    assert told_of(root, gone + "#zoom").got.endswith(told_of(root, gone).got.partition("not fetched: ")[2])
    assert read_picture(root, good)
    never_asked = server.url("/other.png")
    assert told_of(root, never_asked).got == f"{quote(never_asked)}, which is not among the fetched pictures"


def test_what_is_said_is_what_the_last_call_found(fetch, server, tmp_path):
    root, uri = tmp_path / "images", server.url("/a.png")
    good = server.put("/good.png", png(0))
    server.answers["/a.png"] = 404, {}, b""
    fetch([("a", [good, uri])])
    recorded, _ = look_up(root, uri, DEFAULT_LIMITS)
    assert all_unchanged([recorded], root, DEFAULT_LIMITS)
    server.answers["/a.png"] = 410, {}, b""
    fetch([("a", [good, uri])], refresh_days=0.0)
    assert "gone, expected HTTP 200, got HTTP 410" in told_of(root, uri).got
    assert not all_unchanged([recorded], root, DEFAULT_LIMITS)  # so that the run tells it anew
    server.put("/a.png", png(1))
    fetch([("a", [good, uri])], refresh_days=0.0)
    assert read_picture(root, uri)


def test_a_damaged_journal_tells_nothing(fetch, server, tmp_path):
    good, gone = server.put("/good.png", png(0)), server.url("/gone.png")
    fetch([("a", [good, gone])])
    (journal,) = (tmp_path / "images" / "fetched" / "hosts").iterdir()
    journal.write_bytes(b'\xff{"url": 1}\n[]\n' + journal.read_bytes().replace(b'"not_found"', b'"made up"'))
    assert told_of(tmp_path / "images", gone).got == f"{quote(gone)}, which is not among the fetched pictures"
