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


GERMAN = "Produkttyp\tVerkäufer-SKU\tMarke\tProduktname\tPreis\tURL Hauptbild\tStichpunkt"
FRENCH = "Type\tSKU vendeur\tMarque\tNom de l'article (titre)\tPrix\tURL image principale\tPuce"
LISTING = "\t".join(
    (
        *("product_type#1.value", "contribution_sku#1.value", "brand[marketplace_id=A1PA][language_tag=de_DE]#1.value"),
        *("item_name[marketplace_id=A1PA][language_tag=de_DE]#1.value", "list_price[marketplace_id=A1PA]#1.value"),
        *("main_product_image_locator[marketplace_id=A1PA]#1.media_location", "bullet_point#1.value"),
    )
)
COUNTED = "settings=attributeRow={}&contentLanguageTag=de_DE&dataRow={}&feedType=113&labelRow=2\tX\t\t\t\t\t"


@pytest.mark.parametrize(
    ("above", "names"),
    [
        ([SETTINGS, GERMAN, NAMES], NAMES),
        ([SETTINGS, FRENCH, NAMES], NAMES),
        ([GERMAN, NAMES], NAMES),
        ([FRENCH, REQUIRED, NAMES], NAMES),
        ([GERMAN, NAMES, "Pflichtfeld\tPflichtfeld\tOptional\tPflichtfeld\tEmpfohlen\tOptional\tOptional"], NAMES),
        ([COUNTED.format(3, 4), LABELS, LISTING], LISTING),
        ([COUNTED.format(3, 4), GERMAN, LISTING], LISTING),
        ([COUNTED.format(4, 6), "\t\tOffer\t\t\t\t", GERMAN, LISTING, ROWS.split("\n")[0]], LISTING),
        ([COUNTED.format(9, 5), GERMAN, LISTING], LISTING),
        ([GERMAN, LISTING], LISTING),
    ],
)
def test_labels_in_any_language_above_names_of_machines(tmp_path: Path, above: list[str], names: str) -> None:
    path = write(tmp_path / "flat.tsv", "\n".join([*above, ROWS]))
    assert csv_header(str(path)) == names.split("\t")
    assert titles(path, names.split("\t")[3]) == AMAZON_TITLES


OWN_NAMES = "sku,title,description,image_link"
OWN_ROWS = "A1,Red mug,A mug,https://e.com/1.jpg\nA2,Blue mug,A mug,https://e.com/2.jpg\nA3,Cup,,\n"


@pytest.mark.parametrize(
    "labels",
    [
        "String,String,Nullable(String),Array(String)",
        "varchar(20),varchar(200) not null,text,text",
        "Text,Text,Text,Text",
        "object,string[python],string,object",
        "Unique ID of the item,Name shown to customers,Long text up to 5000 characters,URL of the picture",
        "M,M,O,O",
        "obligatoire,obligatoire,facultatif,facultatif",
        "M,M,O,O\nvarchar,varchar,text,text",
    ],
)
def test_types_statuses_and_explanations_below_the_names_are_no_rows(tmp_path: Path, labels: str) -> None:
    rows = OWN_ROWS.replace(",,\n", ",A cup,https://e.com/3.jpg\n")
    path = write(tmp_path / "c.csv", f"{OWN_NAMES}\n{labels}\n{rows}")
    assert titles(path, "title") == ["Red mug", "Blue mug", "Cup"]


@pytest.mark.parametrize(
    "above",
    [
        "Price list June 2026,,,\n,,,\n",
        "Price list June 2026,,,\nShop GmbH,,,\n,,,\n",
        ",,,\n",
        "Products,,,\n",
        "Products\n\n",
        "Export,20.06.2026 10:00\nShop,Acme\n",
        "Export,20.06.2026 10:00,,\nShop,Acme,,\n",
        "Identity,,Texts,\n",
        "Identity,Texts,,Pictures\n",
        "# a comment\n" * 9,
        "# ------\n# Events\n# Account: X\n# Start: 20260601\n# End: 20260630\n# ------\n\n",
    ],
)
def test_what_reports_and_sheets_have_above_a_header(tmp_path: Path, above: str) -> None:
    path = write(tmp_path / "c.csv", f"{above}{OWN_NAMES}\n{OWN_ROWS}")
    assert csv_header(str(path)) == OWN_NAMES.split(",")
    assert titles(path, "title") == ["Red mug", "Blue mug", "Cup"]


@pytest.mark.parametrize(
    ("groups", "names", "header_line"),
    [
        ("Product,,Shop A,,Shop B,", "sku,name,stock,price,stock,price", 2),
        (",,Net,,Gross,", "sku,name,stock,price,stock,price", 2),
        ("Product,,Shop A,,,", "sku,name,stock,price,stock,price", 1),
        ("Product,,Shop A,Shop B,Shop A,Shop B", "sku,name,stock,stock,stock,stock", 1),
        ("sku,name,stock,,,", "red,mug,small,large,small,large", 1),
    ],
)
def test_names_that_groups_above_them_tell_apart(tmp_path: Path, groups: str, names: str, header_line: int) -> None:
    rows = "".join(f"A-{number},Red mug,{number},{number}.50,{number},9\n" for number in range(1, 9))
    path = write(tmp_path / "c.csv", f"{groups}\n{names}\n{rows}")
    assert form_of(str(path)).dialect.header_line == header_line


@pytest.mark.parametrize(
    ("text", "num_rows"),
    [
        ("Item,Category,Brand\nred_mug,home_kitchen,acme_co\nblue_mug,home_bath,acme_co\nx,y_z,v_w\n", 3),
        ("Item,Category,Brand\nred_mug,home_kitchen,acme_co\n", 1),
        ("title,kind,type\nStrings,of a guitar,string\nText,Object,text\n", 2),
        ("title,material\nText,Object\nA mug,Clay\n", 2),
        ("sku,size,fit\nM,M,O\nR,M,O\n", 2),
        ("sku,size,fit\nM,M,M\nA1,L,S\n", 2),
        ("id,name,maker\nBig blue mug,A big mug,Acme and company\nA2,A cup,Acme\nA3,A pot,Acme\n", 3),
        ("sku,name,\nmug,Mug,red\ncup,Cup,blue\n", 2),
        ("sku,name,\nA1,Mug,x\nA2,Cup,y\n", 2),
        ("sku,name\nmug,Mug,red\ncup,Cup,blue\n", 2),
    ],
)
def test_what_is_only_like_labels_or_titles_is_a_row(tmp_path: Path, text: str, num_rows: int) -> None:
    path = write(tmp_path / "c.csv", text)
    assert form_of(str(path)).dialect.header_line == 1
    assert len(list(csv_rows(str(path), {}))) == num_rows


@pytest.mark.parametrize(
    ("units", "num_label_rows"),
    [
        (",,(EUR),(kg)", 1),
        ("(text),(text),(EUR),(kg)", 1),
        ("[-],[-],[EUR],[kg]", 1),
        ("-,-,EUR,kg", 1),
        ("text,text,EUR,kg", 1),
        ("code,Name of the mug,€,g", 1),
        ("code,,(EUR),(kg)", 1),
        ("code,name,EUR,", 1),
        ("mug,Red mug,NA,TBD", 0),
        ("mug,Red mug,S,M", 0),
        ("A-0,Red mug,EUR,kg", 0),
        ("mug,Red mug,EUR,2.5", 0),
        ("A-0,Red mug,(EUR),(kg)", 0),
        ("kg,Red mug,1.5,2", 0),
        ("-,-,,", 0),
    ],
)
def test_a_line_of_units_below_the_header_is_no_row(units: str, num_label_rows: int) -> None:
    rows = "".join(f"A-{number},Red mug {number},{number}.50,1{number}\n" for number in range(1, 9))
    assert recognised_dialect(f"sku,title,price,weight\n{units}\n{rows}").num_label_rows == num_label_rows


@pytest.mark.parametrize(
    ("text", "num_label_rows"),
    [
        ("sku,name,price,weight\ncode,text,EUR,kg\n1,Red mug,1.50,2\n2,Blue mug,2.50,3\n", 1),
        ("sku,name,unit\nflour,Flour,kg\neggs,Eggs,pcs\n", 0),
        ("sku,name,unit,price\nflour,Flour,kg,free\neggs,Eggs,pcs,1.50\n", 0),
        ("sku,name,weight\ncode,text,kg\n", 0),
        ("name,weight\nFlour,kg\nEggs,2\n", 0),
    ],
)
def test_units_beside_words_are_told_by_the_numbers_below_them(text: str, num_label_rows: int) -> None:
    assert recognised_dialect(text).num_label_rows == num_label_rows
