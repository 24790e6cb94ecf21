"""Text of another code page is not taken for cp1252: its letters are not those that words have."""

from pathlib import Path

import pytest
from text_tables import HEADER, read, words, write

from schemas.files import declare
from schemas.reading.formats_of_config import checked_format
from schemas.reading.forms import form_of
from schemas.reading.input_files import unusual_forms
from schemas.reading.plausible_letters import are_plausible_letters

WESTERN = {
    "French": "Où est la théière élégante ? n°5, crème brûlée, cœur, Noël, 5 °C, l´été, d’août, garçon, maïs «vert»",
    "German": "Größe: Schüssel weiß, 5° schräg, Fuß, Häkelgarn, m², m³, „Ente“, Maß 10×20 cm – Öl¹",
    "Spanish": "¿Qué tal? ¡Hola! niño, camión, 1º, 2ª, año, pingüino, nº 5, Mª del Mar",
    "Italian": "caffè, perché, città, più, lunedì, può, tè verde",
    "Portuguese": "camarões, limões, não, põe, avó, você, maçã, coração, calções",
    "Catalan": "col·lecció història cançó això però",
    "Danish": "grøn æble blå rød sløjfe",
    "Swedish": "blå röd grön kök hääyö šakki",
    "Estonian": "sõna jõulud öö jäääär põld õun käsi müts",
    "Icelandic": "þýða grænn ísskápur stór blár skór úr ull með hettu þykk peysa",
    "Dutch": "coëfficiënt café’s één",
    "English": "Nike® Air™ naïve jalapeño – “quoted” ½ inch 5° €10 £5 §5, 3½, 27” wide",
    "nothing": "plain",
}
OTHERS = [
    ("cp1250", "żółty sweter, łóżko dziecięce, śnieżka wełniana"),
    ("cp1250", "příliš žlutoučký kůň, dětské tričko, měkké, růžová"),
    ("cp1250", "női cipő, fehér bőr, felső, erős, fűzős bakancs, kék póló"),
    ("cp1250", "cămaşă roşie, pantaloni bărbaţi, şapcă"),
    ("cp1250", "ženske hlače, moška srajca, črna, otroška oblačila, čevlji"),
    ("iso8859-2", "żółty sweter, łóżko wełniane"),
    ("mac_roman", "Schüssel weiße"),
    ("mac_roman", "camisón de niña, cinturón, lámpara de pie, azúcar"),
    ("cp850", "Gefäße schön"),
    ("cp850", "canapé, théière, crème à la française"),
    ("cp1251", "Лампа высока"),
    ("koi8-r", "Чашка белая"),
    ("cp1253", "Ποτήρι κόκκινο"),
    ("cp1254", "kırmızı bardak, yeşil tabak, gümüş, çocuk, büyük"),
    ("cp1255", "ספל אדום גדול"),
    ("cp1256", "كوب أحمر كبير"),
    ("cp1257", "žalias puodelis, šaukštas, mėlyna kėdė, juodas stalčius"),
    ("gb18030", "红色杯子"),
]
#: Files of a few words, in two bytes a letter.
SHORT = [
    *(("shift_jis", text) for text in ("シャツ", "マグ", "のり", "ソックス", "T-シャツ", "コップ 白")),
    *(("euc_jp", text) for text in ("シャツ", "綿", "青", "白い マグ")),
    *(("euc_kr", text) for text in ("컵", "빨강 컵", "면", "머그 컵 2개", "mug 컵")),
    *(("gbk", text) for text in ("红", "杯 红", "mug 红", "红色 杯", "马克杯")),
    *(("big5", text) for text in ("杯", "紅", "馬克杯")),
]


def as_cp1252(text: str, encoding: str) -> str:
    return text.encode(encoding).decode("cp1252", "replace")


@pytest.mark.parametrize("language", WESTERN)
def test_letters_of_western_europe_are_taken(tmp_path: Path, language: str) -> None:
    text = WESTERN[language].replace(",", " ")
    assert are_plausible_letters(text)
    assert language == "nothing" or are_plausible_letters(f"{text} " * 40 + "SchŸssel")  # one slip in a large file
    path = write(tmp_path / "c.csv", HEADER + f"A-1,{text},a.jpg\n", "cp1252")
    assert read(path) == ([("A-1", text, ["a.jpg"])], [])


@pytest.mark.parametrize(("encoding", "text"), OTHERS)
def test_letters_of_other_code_pages_are_asked_for(tmp_path: Path, encoding: str, text: str) -> None:
    text = text.replace(",", " ")
    assert not are_plausible_letters(as_cp1252(text, encoding))
    path = write(tmp_path / "c.csv", HEADER + f"A-1,{text},\n", encoding)
    assert "not UTF-8: say what it is, in the config: [format] encoding" in words(path)
    said = declare(str(path), checked_format({"encoding": encoding}, "catalogue", "c.toml"))
    assert read(said) == ([("A-1", text, None)], [])


@pytest.mark.parametrize(("encoding", "text"), SHORT)
def test_a_short_file_of_two_bytes_a_letter_is_asked_about(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes(f"item_id,title\n1,{text}\n2,mug\n".encode(encoding))
    form = form_of(str(path))
    assert (form.encoding, form.is_of_other_encoding) == ("utf-8", True)
    assert "[format] encoding =" in unusual_forms([str(path)])


@pytest.mark.parametrize(
    "text", ["180 ºC", "çà et là-bas, où", "öö ja päev", "25 ²", "ƒ 5,00", "½ l", "±5 µm", "Ø 12 cm"]
)
def test_a_short_text_of_western_europe_is_taken(text: str) -> None:
    assert are_plausible_letters(text)
