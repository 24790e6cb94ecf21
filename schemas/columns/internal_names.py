"""Names of columns whose texts are for the shop's own people: no customer may find a product by them."""

from schemas.columns.names import words_of

#: Words in the names of columns that customers never see; of notes, which some shops show (tasting notes), those that
#: say whose they are.
_INTERNAL = frozenset(
    (
        *("internal", "intern", "interne", "internes", "interner", "interna", "interno", "confidential", "vertraulich"),
        *("private", "privat", "secret", "admin", "backoffice", "staff", "memo", "todo", "hidden"),
    )
)
_NOTES = frozenset(
    (
        *("note", "notes", "comment", "comments", "remark", "remarks", "notiz", "notizen", "kommentar", "kommentare"),
        *("bemerkung", "bemerkungen", "anmerkung", "anmerkungen", "commentaire", "commentaires", "remarque", "nota"),
        *("opmerking", "opmerkingen", "comentario", "comentarios"),
    )
)
_OF_THE_SHOP = frozenset(
    (
        *("supplier", "vendor", "buyer", "purchase", "purchasing", "purchaser", "warehouse", "stock", "merchant"),
        *("team", "editor", "editorial", "reviewer", "qa", "lieferant", "lieferanten", "einkauf", "lager"),
        *("fournisseur", "achat", "proveedor", "fornitore", "leverancier", "order", "shipping", "import", "migration"),
    )
)


def is_internal(name: str) -> bool:
    """Whether a name tells that a column's texts are for the shop's own people.

    >>> is_internal("internal_note"), is_internal("supplierComment"), is_internal("Notes")
    (True, True, True)
    >>> is_internal("tasting_notes"), is_internal("supplier_description"), is_internal("international_name")
    (False, False, False)
    """
    words = set(filter(None, words_of(name)))
    is_note = not words.isdisjoint(_NOTES)
    return not words.isdisjoint(_INTERNAL) or (is_note and (words <= _NOTES or not words.isdisjoint(_OF_THE_SHOP)))
