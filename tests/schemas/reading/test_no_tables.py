"""Files that are no table are refused by what they are, with how to make one of them; tables like them are read."""

import gzip
import io
import json
import re
import shlex
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import feather, ipc, orc, parquet

from schemas.errors import UsageError
from schemas.reading.forms import form_of
from schemas.reading.no_tables import no_table

ROWS = pa.table({"sku": [f"A-{n}" for n in range(300)], "title": ["Mug"] * 300})


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        form_of(str(path))
    return str(caught.value)


def write_orc(path: Path) -> None:
    orc.write_table(ROWS, str(path))


def write_feather(path: Path) -> None:
    feather.write_feather(ROWS, str(path))


def write_old_feather(path: Path) -> None:
    feather.write_feather(ROWS, str(path), version=1)


def write_stream(path: Path) -> None:
    with ipc.new_stream(str(path), ROWS.schema) as stream:
        stream.write_table(ROWS)


@pytest.mark.medium
@pytest.mark.parametrize("name", ["products.bin", "products.csv", "products.json"])
@pytest.mark.parametrize("write", [write_orc, write_feather, write_old_feather, write_stream])
def test_the_call_that_a_refusal_names_makes_parquet_of_the_file(tmp_path, write, name):
    write(tmp_path / name)
    call = re.search(r"python -c (\".*\")", refusal(tmp_path / name))
    assert call
    code = shlex.split(call[1])[0].replace("'X", f"'{name}")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert parquet.read_table(tmp_path / f"{name}.parquet").equals(ROWS)


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"Obj\x01\x04\x14avro.codec", "an Avro file"),
        (bytes(8) + b"DUCK" + bytes(20), "a DuckDB database"),
        (b"PGDMP\x01\x0e", "a dump of PostgreSQL"),
        (b"-- MySQL dump 10.13\n\nCREATE TABLE `products` (`id` int);\n", "a dump of a database in SQL"),
        (b"--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n", "a dump of a database in SQL"),
        (b"/*!40101 SET NAMES utf8 */;\nINSERT INTO `products` VALUES (1,'Mug');\n", "a dump of a database in SQL"),
        (b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n", "a dump of a database in SQL"),
    ],
)
@pytest.mark.parametrize("name", ["products.bin", "products.csv", "products.sql.gz"])
def test_databases_and_dumps_are_named(tmp_path, start, told, name):
    (tmp_path / name).write_bytes(gzip.compress(start) if name.endswith(".gz") else start)
    assert f"got {told}: " in refusal(tmp_path / name)


def test_a_sqlite_database_is_named(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE products (sku text)")
    assert "got a SQLite database: " in refusal(tmp_path / "shop.db")


def test_yaml_is_named_by_its_name(tmp_path):
    (tmp_path / "products.yaml").write_text("- sku: A-1\n  title: Mug\n")
    assert "got YAML: " in refusal(tmp_path / "products.yaml")


@pytest.mark.parametrize("name", ["products.tar", "products.tar.gz", "products.csv.gz", "products.csv"])
def test_a_tar_archive_is_named_whatever_packs_it(tmp_path, name):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("products.csv")
        member.size = 10
        archive.addfile(member, io.BytesIO(b"sku,title\n"))
    data = packed.getvalue()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert "got a tar archive: unpack it" in refusal(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    [
        *("ORCID,title\nA-1,Mug\n", "FEA1,title\nA-1,Mug\n", "sku,a,xDUCK\nA-1,Mug,3\n", "Begin;End;title\n1;2;Mug\n"),
        *("-- 60 rows\nsku,title\n", "- sku: A-1,title\n", "Set name,title\nMug = Cup;,x\n"),
        "x" * 257 + "ustar,title\n",
    ],
)
def test_a_table_that_begins_alike_is_read(tmp_path, text):
    (tmp_path / "products.csv").write_text(text)
    assert form_of(str(tmp_path / "products.csv")).kind == "csv"


def test_a_text_of_many_comments_is_told_in_time():
    assert no_table("-" * 100_000 + "/*" * 1_000 + "--x\n" * 10_000, ".csv") is None


ERRORS = [
    {"errors": [{"message": "Access denied", "code": "ACCESS_DENIED"}]},
    {
        "data": None,
        "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
        "extensions": {"cost": {}},
    },
    {"errors": "[API] Invalid API key or access token"},
    {"errors": [{"id": "1", "status": "401", "code": "9", "title": "Denied", "detail": "The token is over"}]},
    {"error": {"code": 401, "message": "Request had invalid credentials", "status": "UNAUTHENTICATED"}},
    {"error": "invalid_token", "error_description": "The token is over"},
    {"code": "rest_forbidden", "message": "Sorry, you cannot list resources.", "data": {"status": 401}},
    {"timestamp": "2026-06-30T10:00:00Z", "status": 404, "error": "Not Found", "path": "/products"},
]
NO_ERRORS = [
    {"sku": "A-1", "title": "Mug", "error": "no picture"},
    {"id": 1, "title": "Mug", "description": "A mug", "type": "cup", "error": "no picture"},
    {"id": 1, "title": "Mug", "description": "A mug", "type": "cup", "status": "active", "message": "Engrave me"},
    {"products": [{"sku": "A-1", "title": "Mug"}], "errors": [{"message": "one left out", "code": 5}]},
    {"data": {"products": {"edges": []}}, "errors": [{"message": "Timeout", "code": 5}]},
    {"errors": [], "products": [{"sku": "A-1"}]},
    {"errors": [{"sku": "A-1", "message": "Wear it", "code": "W"}]},
]


@pytest.mark.parametrize("answer", ERRORS)
@pytest.mark.parametrize("indent", [None, 1])
def test_an_answer_that_says_what_went_wrong_is_refused(tmp_path, answer, indent):
    (tmp_path / "products.json").write_text(json.dumps(answer, indent=indent))
    assert "an answer that says what went wrong" in refusal(tmp_path / "products.json")


@pytest.mark.parametrize("answer", NO_ERRORS)
def test_a_product_with_an_error_of_its_own_is_read(tmp_path, answer):
    (tmp_path / "products.json").write_text(json.dumps(answer))
    assert form_of(str(tmp_path / "products.json")).kind == "json"
    rows = [json.dumps(one) for one in [*ERRORS, answer]]
    (tmp_path / "log.jsonl").write_text("\n".join(rows))
    assert form_of(str(tmp_path / "log.jsonl")).kind == "json"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SQL> select * from products;\n\nsku,title\nA-1,Red mug\n", "SQL\\*Plus printed.*SET MARKUP CSV ON"),
        (
            "sku     title       image\nA-1     Red mug     1.jpg\nA-20    Blue cup    2.jpg\n",
            "a fixed width.*read_fwf",
        ),
    ],
)
def test_what_was_printed_for_people_is_no_table(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "c.txt"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"expected text, got .*{told}"):
        form_of(str(path))


@pytest.mark.parametrize("text", ["sku  title\nA-1 Red mug\nA-200 Cup\n", "title\nRed  mug\nBlue  cup\n"])
def test_blanks_within_a_column_are_no_columns(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(text)
    assert form_of(str(path)).kind == "csv"
