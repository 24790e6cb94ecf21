"""The line of a delimited text that has the names of its columns: below settings, comments and labels, above labels."""

from pathlib import Path

import pytest
from text_tables import words, write

from schemas.reading.csv_headers import recognised_dialect
from schemas.reading.forms import form_of
from schemas.reading.input_files import count_rows
from schemas.reading.text import csv_header, csv_rows

NAMES = "feed_product_type\titem_sku\tbrand_name\titem_name\tstandard_price\tmain_image_url\tbullet_point1"
LABELS = "Product Type\tSeller SKU\tBrand Name\tProduct Name\tStandard Price\tMain Image URL\tBullet Point1"
SETTINGS = "TemplateType=fptcustom\tVersion=2021.0811\tThe top 3 rows are for Amazon.com use only.\t\tOffer\tImages\t"
LONG_SETTINGS = "settings=contentLanguageTag=en_US&feedType=113\tDo not delete this row\t\t\t\t\t"
REQUIRED = "Required\tRequired\tOptional\tRequired\tPreferred\tOptional\tOptional"
CONDITIONS = "Mandatory\tConditional mandatory\tOptional\tNot required\tConditional\tHighly recommended\tOptional"
ROWS = (
    "shirt\tA-1\tBrand\tLinen shirt\t19.90\thttps://e.com/1.jpg\tsoft\n"
    "shirt\tA-2\tBrand\tProduct Name tag\t9.90\thttps://e.com/2.jpg\twarm\n"
    "bag\tA-3\t\tBag\t\t\t\n"
)
AMAZON_TITLES = ["Linen shirt", "Product Name tag", "Bag"]

META_NAMES = "id,title,description,image_link"
META_COMMENT = (
    "# Required | A unique content ID for the item.,"
    '# Required | A specific title. Maximum characters: 200,"# Required | A short, relevant text.",'
    "# Optional | The URL of the main image"
)
META_ROWS = 'A-1,Linen shirt,"Soft, warm",https://e.com/1.jpg\nA-2,Bag,,\n'

EBAY_INFO = (
    "#INFO,Version=0.0.2,Template= eBay-draft-listings-template_US,,\n#INFO Action and Category ID are required,,,,\n"
)
EBAY_OLD = "Info,Version=1.0.0,Template=fx_category_template_EBAY_US,,\n"
EBAY_NAMES = "*Action(SiteID=US|Country=US|Currency=USD),Custom label (SKU),*Category ID,*Title,Item photo URL\n"
EBAY_ROWS = "Draft,A-1,11450,Linen shirt,https://e.com/1.jpg\nDraft,A-2,169291,Bag,\n"


def titles(path: Path, name: str) -> list[str | None]:
    """The cells of that column; every row can be read."""
    found = list(csv_rows(str(path), {"title": name}))
    assert [row.error for row in found] == [None] * len(found)
    assert count_rows([str(path)]) == len(found)
    return [row.values["title"] for row in found if row.values is not None]


@pytest.mark.parametrize(
    ("above", "told"),
    [
        ([NAMES], ""),
        ([SETTINGS, LABELS, NAMES], "the header is line 3"),
        ([SETTINGS, NAMES], "the header is line 2"),
        ([SETTINGS.rstrip("\t"), LABELS, NAMES], "the header is line 3"),
        ([SETTINGS, LONG_SETTINGS, LABELS, NAMES], "the header is line 4"),
        ([SETTINGS, LABELS, REQUIRED, NAMES], "the header is line 4"),
        ([LABELS, NAMES], "the header is line 2"),
        ([LABELS.replace("Brand Name", "Product Name"), NAMES], "the header is line 2"),
        ([NAMES, LABELS], "a line of labels below the header"),
        ([NAMES, LABELS, REQUIRED], "2 lines of labels below the header"),
        ([NAMES, REQUIRED], "a line of labels below the header"),
        ([NAMES, LABELS, CONDITIONS], "2 lines of labels below the header"),
        ([NAMES, LABELS, REQUIRED, CONDITIONS], "3 lines of labels below the header"),
        ([SETTINGS, NAMES, LABELS], "the header is line 2, a line of labels below the header"),
        ([SETTINGS, LABELS, NAMES, REQUIRED], "the header is line 3, a line of labels below the header"),
    ],
)
def test_flat_files_of_a_marketplace(tmp_path: Path, above: list[str], told: str) -> None:
    path = write(tmp_path / "flat.tsv", "\n".join([*above, ROWS]))
    assert csv_header(str(path)) == NAMES.split("\t")
    assert titles(path, "item_name") == AMAZON_TITLES
    assert words(path) == (f"flat.tsv: {told}" if told else "")


@pytest.mark.parametrize("above", [META_COMMENT + "\n", "# Catalogue of 2026\n" + META_COMMENT + "\n"])
def test_comments_of_each_column_above_the_header(tmp_path: Path, above: str) -> None:
    path = write(tmp_path / "meta.csv", above + META_NAMES + "\n" + META_ROWS)
    assert csv_header(str(path)) == META_NAMES.split(",")
    assert titles(path, "title") == ["Linen shirt", "Bag"]


@pytest.mark.parametrize("above", ["", EBAY_INFO, EBAY_OLD])
def test_lines_of_information_above_names_with_signs(tmp_path: Path, above: str) -> None:
    path = write(tmp_path / "ebay.csv", above + EBAY_NAMES + EBAY_ROWS)
    assert csv_header(str(path))[1:] == ["Custom label (SKU)", "*Category ID", "*Title", "Item photo URL"]
    assert titles(path, "*Title") == ["Linen shirt", "Bag"]


def test_a_broken_row_hides_no_header_below_settings(tmp_path: Path) -> None:
    path = write(tmp_path / "flat.tsv", "\n".join([SETTINGS, LABELS, NAMES, ROWS]) + "one\tcell too few\n")
    assert csv_header(str(path)) == NAMES.split("\t")
    assert [row.error is None for row in csv_rows(str(path), {})] == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "num_rows"),
    [
        ("item_id,title\nitem a,title a\n", 1),
        ("item_id,title\nitem a,title a\nitem b,title b\n", 2),
        ("item_id,title,brand\nitem a,title a,brand\nitem b,title b,brand\nx,y,z\n", 3),
        ("Item,Title,Brand\nitem-a,title-a,brand-a\nitem-b,title-b,brand-b\n", 2),
        ("item_id,title,brand\nitem_1,title 1,brand 1\nx,y,z\n", 2),
        ("item_id,title,color\nA-1,Brand title,color\nA-2,x,y\n", 2),
        ("item_id,title,size\nred_mug,mug,small\nblue_mug,cup,large\n", 2),
        ("item_id,title\nRequired,Optional\n", 1),
        ("a,b=c,d\nx,y,z\nx,v,w\n", 2),
        ("a,,d\nx,y,z\nu,v,w\n", 2),
    ],
)
def test_what_may_be_a_row_is_one(tmp_path: Path, text: str, num_rows: int) -> None:
    path = write(tmp_path / "c.csv", text)
    assert form_of(str(path)).dialect.header_line == 1
    assert len(list(csv_rows(str(path), {}))) == num_rows


def test_a_header_alone_has_no_labels() -> None:
    dialect = recognised_dialect("item_id,title,brand\n")
    assert (dialect.header_line, dialect.num_label_rows) == (1, 0)
