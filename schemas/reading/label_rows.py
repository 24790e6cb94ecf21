"""Lines beside the header of a delimited text that say something of its columns, and are no rows.

What a person calls the columns; which must be filled; of which type or in which unit they are; what to write there:

    SKU vendeur    Nom de l'article    URL image principale      labels, in whatever language
    item_sku       item_name           main_image_url            the header
    M              M                   O                         statuses
    String         Nullable(String)    Array(String)             types
    Unique number  Up to 200 letters   Address of the picture    explanations
    (text)         -                   (kg)                      units

Each is told by all of its cells, beside the rows below it: what may be a row is one.
"""

import re
from collections import Counter
from collections.abc import Sequence

#: Of so many columns half may have labels of other words than their names; below it one, and of the fewest none.
_MANY_COLUMNS, _FEW_COLUMNS = 8, 4
#: Cells with which a marketplace's template tells what it is, and those of its rows that it counts.
_SETTING = re.compile(r"(?:template\w*|version|settings)\s*=.*", re.IGNORECASE | re.DOTALL)
_CELLS_WITH_SETTINGS = 3
_NAMES_AND_ROWS = re.compile(r"(?=.*\battributeRow=(\d{1,2})\b)(?=.*\bdataRow=(\d{1,2})\b)", re.IGNORECASE | re.DOTALL)
#: What a template says of each column.
_STATUS = re.compile(
    r"(?:(?:conditional(?:ly)?|not|non|highly|strongly)[ -])?"
    r"(?:required|optional|preferred|recommended|desired|mandatory|obligatory)|conditional|required if applicable|"
    r"pflicht(?:feld|angabe)?|muss|soll|kann|erforderlich|empfohlen|bedingt|"
    r"obligatoire|facultati(?:f|ve)|requise?|recommandée?|optionnel(?:le)?|conditionnel(?:le)?|"
    r"obligatori[oa]|opcional|recomendad[oa]|condicional|obbligatori[oa]|facoltativ[oa]|opzionale|consigliat[oa]|"
    r"verplicht|optioneel|aanbevolen|wymagane|opcjonalne|zalecane",
    re.IGNORECASE,
)
#: Its first letter: mandatory, required, conditional, optional, recommended.
_STATUS_LETTER = re.compile("[MRCO]")
#: Types of columns as databases and languages write them, those that are words of texts apart.
_TECHNICAL_TYPES = (
    "string|str|n?varchar2?|n?char|character(?: varying)?|bpchar|n?clob|ntext|(?:tiny|medium|long)text|"
    r"u?int(?:eger)?|(?:big|small|tiny|medium)int|float|double precision|decimal|numeric|bool(?:ean)?|"
    r"date(?:32|64)|datetime\w*+|timestamp\w*+|uuid|jsonb?|xml|bytea|blob|(?:var)?binary|array|map|variant|struct|"
    "enum(?:8|16)?|fixedstring|lowcardinality|nullable|tuple"
)
_TYPES_IN_WORDS = "text|date|time|number|money|object|image|url|long|short|byte|double|real|bit"
_BEHIND_TYPE = r"\d*+(?:\s?[(<\[].*[)>\]])?+(?:\s(?:not null|null|unsigned|primary key|with(?:out)? time zone))*+"
_TECHNICAL_TYPE = re.compile(f"(?:{_TECHNICAL_TYPES}){_BEHIND_TYPE}", re.IGNORECASE)
_TYPE = re.compile(f"(?:{_TECHNICAL_TYPES}|{_TYPES_IN_WORDS}){_BEHIND_TYPE}", re.IGNORECASE)
#: Types in plain words alone are types from so many columns on.
_MANY_TYPES = 4
#: A name as machines have it; what is in brackets behind it, as Amazon has `item_name[language_tag=de_DE]#1.value`,
#: says of what it is. Of several parts it is no word of a person's.
_FIELD_NAME = re.compile(r"(?:[^\sA-Z\[\]]|\[[^\[\]]*\])+")
_OF_PARTS = re.compile(r"[^\W_][_\[#-]")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_CAPITALS_IN_PLURAL = re.compile(r"(?<![A-Z])([A-Z]{2,}+)s\b")
#: What values of machines have, and names and explanations have not.
_OF_VALUES = re.compile(r"\d|://")
#: What each cell of a line of units is: none, one in brackets, or, in a column of numbers, one without.
_NO_UNIT, _UNIT_IN_BRACKETS = re.compile("[-–—]?"), re.compile(r"\([^()\d]+\)|\[[^\[\]\d]+\]")
_BARE_UNIT, _NUMBER = re.compile(r"[^\W\d_]{1,3}[²³]?|[%€$£¥]"), re.compile(r"[-+]?\d[\d.,\s]*")
#: Units that are told by themselves, so that words may stand beside them: of weights, lengths, volumes, money, numbers.
_KNOWN_UNIT = re.compile(
    r"\([^()\d]+\)|\[[^\[\]\d]+\]|mg|kg|lbs?|oz|[mcdk]m[²³]?|m[²³]|inch|ft|yd|[mcd]l|gal|[€$£¥%]|pcs?|stk|stück|ea|qty|"
    "eur|usd|gbp|chf|pln|sek|nok|dkk|czk|huf|ron|jpy|cny|inr|aud|cad|brl|mxn|zar",
    re.IGNORECASE,
)
#: Words of each cell of a line of explanations; of those in columns of values.
_WORDS_OF_CELL, _WORDS_OF_EXPLANATION = 2, 3


def are_settings(cells: Sequence[str]) -> bool:
    """Whether a marketplace's template tells with these what it is."""
    return any(_SETTING.fullmatch(cell.strip()) for cell in cells[:_CELLS_WITH_SETTINGS])


def rows_told(cells: Sequence[str]) -> tuple[int, int] | None:
    """Of a template's settings: which of its rows, from 1, has the names, and which is the first below its labels; None
    if they do not tell.

    >>> rows_told(["settings=attributeRow=3&contentLanguageTag=de_DE&dataRow=5&labelRow=2", ""])
    (3, 5)
    """
    found = next(filter(None, map(_NAMES_AND_ROWS.match, cells[:_CELLS_WITH_SETTINGS])), None)
    if found is None or not are_settings(cells):
        return None
    names, rows = int(found[1]), int(found[2])
    return (names, rows) if 1 < names < rows else None


def are_statuses(cells: Sequence[str]) -> bool:
    """
    >>> are_statuses(["Required", "Pflichtfeld", "Optional"]), are_statuses(["M", "M", "O"]), are_statuses(["M"] * 3)
    (True, True, False)
    """
    found = [cell.strip() for cell in cells if cell.strip()]
    if len(found) < 3 or 2 * len(found) < len(cells):
        return False
    are_letters = len(set(found)) > 1 and all(map(_STATUS_LETTER.fullmatch, found))
    return are_letters or all(map(_STATUS.fullmatch, found))


def are_types(cells: Sequence[str]) -> bool:
    """
    >>> are_types(["String", "Array(String)"]), are_types(["varchar(20)", "text"]), are_types(["Text", "Date"])
    (True, True, False)
    """
    found = [cell.strip() for cell in cells if cell.strip()]
    if len(found) < 2 or 2 * len(found) < len(cells) or not all(map(_TYPE.fullmatch, found)):
        return False
    return len(found) >= _MANY_TYPES or any(map(_TECHNICAL_TYPE.fullmatch, found))


def are_explanations(cells: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether each of the cells is several words, in columns, too, in which the rows below have values of one word,
    such as numbers and addresses: in two at least."""
    found = [cell for cell in cells if cell.strip()]
    if 2 * len(found) < len(cells) or any(len(cell.split()) < _WORDS_OF_CELL for cell in found):
        return False
    columns = zip(cells, *below, strict=False)
    of_values = [
        len(cell.split()) >= _WORDS_OF_EXPLANATION and not _OF_VALUES.search(cell)
        for cell, *values in columns
        if cell.strip() and values and all(_is_value(value) for value in values)
    ]
    return len(of_values) > 1 and all(of_values)


def are_units(cells: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether the cells say in which units the columns are, and nothing else: one at least is above values alone. Words
    without a digit may stand beside known units.

    >>> are_units(["", "(EUR)", "-"], [["A-1", "9.50", "red"]]), are_units(["-", "kg"], [["A-1", "9.5"]])
    (True, True)
    >>> are_units(["A-0", "(kg)"], [["A-1", "9.5"]]), are_units(["(red)", "(new)"], [["(blue)", "(old)"]])
    (False, False)
    >>> are_units(["code", "kg"], [["A-1", "9.5"]]), are_units(["code", "NA"], [["A-1", "9.5"]])
    (True, False)
    """
    return _are_units_alone(cells, below) or _are_units_beside_words(cells, below)


def _are_units_alone(cells: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    is_any = False
    for cell, *values in zip(map(str.strip, cells), *below, strict=False):
        filled = [plain for value in values if (plain := value.strip())]
        if _NO_UNIT.fullmatch(cell):
            continue
        if _BARE_UNIT.fullmatch(cell):
            if not filled or not all(map(_NUMBER.fullmatch, filled)):
                return False
        elif not _UNIT_IN_BRACKETS.fullmatch(cell):
            return False
        is_any = is_any or (bool(filled) and all(map(_OF_VALUES.search, filled)))
    return is_any


def _are_units_beside_words(cells: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether no cell has a digit, one that is a known unit is above numbers alone, and another above values alone."""
    num_units = num_words = 0
    for cell, *values in zip(map(str.strip, cells), *below, strict=False):
        filled = [plain for value in values if (plain := value.strip())]
        if _OF_VALUES.search(cell):
            return False
        if filled and _KNOWN_UNIT.fullmatch(cell) and all(map(_NUMBER.fullmatch, filled)):
            num_units += 1
        elif cell and filled and all(map(_OF_VALUES.search, filled)):
            num_words += 1
    return num_units > 0 and num_units + num_words > 1


def are_told_apart(names: Sequence[str], groups: Sequence[str]) -> bool:
    """Whether names of columns that are there several times are each in another group of several columns, which the
    first cell of it in the line above names.

    >>> are_told_apart(["sku", "net", "gross", "net", "gross"], ["", "Shop", "", "Outlet", ""])
    True
    >>> are_told_apart(["sku", "net", "net"], ["", "Shop", ""]), are_told_apart(["sku", "net", "net"], ["", "A", "B"])
    (False, False)
    """
    carried = [""]
    for cell in groups:
        carried.append(cell.strip() or carried[-1])
    columns, widths, counts = list(zip(carried[1:], names, strict=False)), Counter(carried[1:]), Counter(names)
    are_wide = all(widths[group] > 1 for group, name in columns if counts[name] > 1)
    return are_wide and len(set(columns)) == len(names) == len(groups)


def _is_value(cell: str) -> bool:
    return len(cell.split()) == 1 and _OF_VALUES.search(cell) is not None


def stand_out(names: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether the cells are surely no row of those below: in a column in which each of these has a digit or an address
    they have neither."""
    return any(
        bool(values) and not _OF_VALUES.search(name) and all(map(_OF_VALUES.search, values))
        for name, *values in zip(names, *below, strict=False)
    )


def are_labels(cells: Sequence[str], names: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether the cells of a line above one that has names, as machines have them, are what people call the columns: by
    words in common, or, in another language, by names such as no row below has any."""
    if all(map(_FIELD_NAME.fullmatch, cells)) or not all(_FIELD_NAME.fullmatch(name.strip()) for name in names):
        return False
    if not below:
        return False
    return (name_the_same(cells, names) and not name_the_same(cells, below[0])) or (
        len(names) >= _FEW_COLUMNS - 1 and not _num_of_parts(cells, names) and _are_machines_alone(names, below)
    )


def _are_machines_alone(names: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether half of the names have parts, as machines write them, and hardly a cell below those is written so."""
    num = _num_of_parts(names, names)
    return num > 1 and 2 * num >= len(names) and 4 * sum(_num_of_parts(row, names) for row in below) <= num * len(below)


def _num_of_parts(cells: Sequence[str], names: Sequence[str]) -> int:
    """How many of the cells under names of several parts are names of several parts, too."""
    return sum(_is_of_parts(name) and _is_of_parts(cell) for cell, name in zip(cells, names, strict=False))


def _is_of_parts(cell: str) -> bool:
    text = cell.strip()
    return _FIELD_NAME.fullmatch(text) is not None and _OF_PARTS.search(text) is not None


def name_the_same(labels: Sequence[str], names: Sequence[str]) -> bool:
    """Whether the cells of two rows call the same columns something, in words of which most are the same."""
    pairs = [(label, name) for label, name in zip(labels, names, strict=False) if label.strip()]
    if len(pairs) < 2 or 2 * len(pairs) < len(names):
        return False
    if any(set(re.findall(r"\d+", label)) - set(re.findall(r"\d+", name)) for label, name in pairs):
        return False
    words = [(_words(label), _words(name)) for label, name in pairs]
    if len(pairs) < _FEW_COLUMNS:
        return all(label and (label <= name or name <= label) for label, name in words)
    num_other = sum(label.isdisjoint(name) for label, name in words)
    return num_other <= (len(pairs) // 2 if len(pairs) >= _MANY_COLUMNS else 1)


def _words(text: str) -> set[str]:
    """
    >>> sorted(_words("Main Image URLs")), sorted(_words("mainImage_url1"))
    (['image', 'main', 'url'], ['image', 'main', 'url'])
    """
    return {word.casefold().removesuffix("s") for word in _WORD.findall(_CAPITALS_IN_PLURAL.sub(r"\1", text))}
