"""What editors of web pages keep of one description, each in its own form, and the text that a person reads in it."""

from typing import Any

#: What every one of them says: a heading, a paragraph with bold letters within a word and a link, a list, a picture.
TEXT = "Oak table Handmade in our workshop Solid oak Waxed by hand"

_PICTURE = "https://shop.example/oak.jpg"
_LINK = "https://shop.example/about"


def _shopify() -> dict[str, Any]:
    def leaf(text: str, **marks: bool) -> dict[str, Any]:
        return {"type": "text", "value": text, **marks}

    link = {"type": "link", "url": _LINK, "title": "About us", "target": "_blank", "children": [leaf("workshop")]}
    items = [{"type": "list-item", "children": [leaf(text)]} for text in ("Solid oak", "Waxed by hand")]
    return {
        "type": "root",
        "children": [
            {"type": "heading", "level": 2, "children": [leaf("Oak table")]},
            {"type": "paragraph", "children": [leaf("Hand"), leaf("made", bold=True), leaf(" in our "), link]},
            {"type": "list", "listType": "unordered", "children": items},
        ],
    }


def _prosemirror(version: int | None = None) -> dict[str, Any]:
    def leaf(text: str, *marks: dict[str, Any]) -> dict[str, Any]:
        return {"type": "text", "text": text, **({"marks": list(marks)} if marks else {})}

    link = leaf("workshop", {"type": "link", "attrs": {"href": _LINK, "title": "About us"}})
    paragraph = [leaf("Hand"), leaf("made", {"type": "bold"}), leaf(" in"), {"type": "hardBreak"}, leaf("our "), link]
    items = [
        {"type": "listItem", "content": [{"type": "paragraph", "content": [leaf(text)]}]}
        for text in ("Solid oak", "Waxed by hand")
    ]
    return {
        **({} if version is None else {"version": version}),
        "type": "doc",
        "content": [
            {"type": "heading", "attrs": {"level": 2}, "content": [leaf("Oak table")]},
            {"type": "paragraph", "content": paragraph},
            {"type": "image", "attrs": {"src": _PICTURE, "alt": "a picture"}},
            {"type": "bulletList", "content": items},
            {"type": "paragraph"},
        ],
    }


def _slate() -> list[dict[str, Any]]:
    link = {"type": "link", "url": _LINK, "children": [{"text": "workshop"}]}
    items = [{"type": "list-item", "children": [{"text": text}]} for text in ("Solid oak", "Waxed by hand")]
    paragraph = [{"text": "Hand"}, {"text": "made", "bold": True}, {"text": " in our "}, link, {"text": ""}]
    return [
        {"type": "heading-one", "children": [{"text": "Oak table"}]},
        {"children": paragraph},
        {"type": "image", "url": _PICTURE, "children": [{"text": ""}]},
        {"type": "bulleted-list", "children": items},
    ]


def _lexical() -> dict[str, Any]:
    def leaf(text: str, bold: int = 0) -> dict[str, Any]:
        return {"detail": 0, "format": bold, "mode": "normal", "style": "", "text": text, "type": "text", "version": 1}

    def element(kind: str, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"children": list(children), "direction": "ltr", "indent": 0, "type": kind, "version": 1, **more}

    link = element("link", leaf("workshop"), rel="noreferrer", title="About us", url=_LINK)
    words = (leaf("Hand"), leaf("made", 1), leaf(" in"), {"type": "linebreak", "version": 1}, leaf("our "), link)
    items = [element("listitem", leaf(text), value=n) for n, text in enumerate(("Solid oak", "Waxed by hand"), 1)]
    picture = {"type": "image", "src": _PICTURE, "altText": "a picture", "version": 1}
    blocks = (element("heading", leaf("Oak table"), tag="h1"), element("paragraph", *words), picture)
    return {"root": element("root", *blocks, element("list", *items, listType="bullet"), element("paragraph"))}


def _quill() -> dict[str, Any]:
    return {
        "ops": [
            {"insert": "Oak table"},
            {"attributes": {"header": 1}, "insert": "\n"},
            {"insert": "Hand"},
            {"attributes": {"bold": True}, "insert": "made"},
            {"insert": " in our "},
            {"attributes": {"link": _LINK}, "insert": "workshop"},
            {"insert": "\n"},
            {"insert": {"image": _PICTURE}},
            {"insert": "Solid oak"},
            {"attributes": {"list": "bullet"}, "insert": "\n"},
            {"insert": "Waxed by hand"},
            {"attributes": {"list": "bullet"}, "insert": "\n"},
        ]
    }


def _draft_js() -> dict[str, Any]:
    def block(kind: str, text: str, *entities: int) -> dict[str, Any]:
        ranges = [{"offset": 0, "length": len(text), "key": key} for key in entities]
        styles = [{"offset": 4, "length": 4, "style": "BOLD"}] if text.startswith("Handmade") else []
        ranges_of = {"inlineStyleRanges": styles, "entityRanges": ranges}
        return {"key": "8k2fq", "text": text, "type": kind, "depth": 0, **ranges_of, "data": {}}

    return {
        "blocks": [
            block("header-one", "Oak table"),
            block("unstyled", "Handmade in our workshop", 0),
            block("atomic", " ", 1),
            block("unordered-list-item", "Solid oak"),
            block("unordered-list-item", "Waxed by hand"),
        ],
        "entityMap": {
            "0": {"type": "LINK", "mutability": "MUTABLE", "data": {"url": _LINK, "title": "About us"}},
            "1": {"type": "IMAGE", "mutability": "IMMUTABLE", "data": {"src": _PICTURE}},
        },
    }


def _contentful() -> dict[str, Any]:
    def leaf(text: str, *marks: str) -> dict[str, Any]:
        return {"nodeType": "text", "value": text, "marks": [{"type": mark} for mark in marks], "data": {}}

    def element(kind: str, *content: dict[str, Any], **data: Any) -> dict[str, Any]:
        return {"nodeType": kind, "data": data, "content": list(content)}

    link = element("hyperlink", leaf("workshop"), uri=_LINK)
    target = {"sys": {"id": "7", "type": "Link", "linkType": "Asset"}}
    items = [element("list-item", element("paragraph", leaf(text))) for text in ("Solid oak", "Waxed by hand")]
    return element(
        "document",
        element("heading-1", leaf("Oak table")),
        element("paragraph", leaf("Hand"), leaf("made", "bold"), leaf(" in our "), link, leaf("")),
        element("embedded-asset-block", target=target),
        element("unordered-list", *items),
    )


def _portable_text() -> list[dict[str, Any]]:
    def block(style: str, *spans: tuple[str, str], **more: Any) -> dict[str, Any]:
        children = [
            {"_type": "span", "_key": f"s{number}", "text": text, "marks": [mark] if mark else []}
            for number, (text, mark) in enumerate(spans)
        ]
        links = [{"_type": "link", "_key": "l1", "href": _LINK}]
        return {"_type": "block", "_key": style, "style": style, "markDefs": links, "children": children, **more}

    return [
        block("h1", ("Oak table", "")),
        block("normal", ("Hand", ""), ("made", "strong"), (" in our ", ""), ("workshop", "l1")),
        {"_type": "image", "_key": "p", "asset": {"_type": "reference", "_ref": "image-1-800x600-jpg"}},
        block("normal", ("Solid oak", ""), listItem="bullet", level=1),
        block("normal", ("Waxed by hand", ""), listItem="bullet", level=1),
    ]


def _editor_js() -> dict[str, Any]:
    items = [{"content": "Solid oak", "items": [{"content": "Waxed by hand", "items": []}]}]
    return {
        "time": 1781949600000,
        "blocks": [
            {"id": "a", "type": "header", "data": {"text": "Oak table", "level": 2}},
            {"id": "b", "type": "paragraph", "data": {"text": "Handmade in our workshop"}},
            {"id": "c", "type": "image", "data": {"file": {"url": _PICTURE}, "caption": "", "stretched": False}},
            {"id": "d", "type": "list", "data": {"style": "unordered", "items": items}},
            {"id": "e", "type": "delimiter", "data": {}},
        ],
        "version": "2.22.2",
    }


def _strapi() -> list[dict[str, Any]]:
    def leaf(text: str, **marks: bool) -> dict[str, Any]:
        return {"type": "text", "text": text, **marks}

    link = {"type": "link", "url": _LINK, "children": [leaf("workshop")]}
    items = [{"type": "list-item", "children": [leaf(text)]} for text in ("Solid oak", "Waxed by hand")]
    return [
        {"type": "heading", "level": 1, "children": [leaf("Oak table")]},
        {"type": "paragraph", "children": [leaf("Hand"), leaf("made", bold=True), leaf(" in our "), link, leaf("")]},
        {"type": "image", "image": {"name": "oak.jpg", "url": _PICTURE}, "children": [leaf("")]},
        {"type": "list", "format": "unordered", "children": items},
    ]


def _blocknote() -> list[dict[str, Any]]:
    def leaf(text: str, **styles: bool) -> dict[str, Any]:
        return {"type": "text", "text": text, "styles": styles}

    def block(kind: str, *content: dict[str, Any], children: tuple[Any, ...] = ()) -> dict[str, Any]:
        return {"id": "1", "type": kind, "props": {"level": 1}, "content": list(content), "children": list(children)}

    link = {"type": "link", "href": _LINK, "content": [leaf("workshop")]}
    below = block("bulletListItem", leaf("Waxed by hand"))
    return [
        block("heading", leaf("Oak table")),
        block("paragraph", leaf("Hand"), leaf("made", bold=True), leaf(" in our "), link),
        {"id": "2", "type": "image", "props": {"url": _PICTURE, "caption": ""}, "children": []},
        block("bulletListItem", leaf("Solid oak"), children=(below,)),
        block("paragraph"),
    ]


def _prismic() -> list[dict[str, Any]]:
    link = {"start": 16, "end": 24, "type": "hyperlink", "data": {"link_type": "Web", "url": _LINK}}
    return [
        {"type": "heading1", "text": "Oak table", "spans": []},
        {"type": "paragraph", "text": "Handmade in our workshop", "spans": [link]},
        {"type": "image", "url": _PICTURE, "alt": "a picture", "dimensions": {"width": 80, "height": 60}},
        {"type": "list-item", "text": "Solid oak", "spans": []},
        {"type": "list-item", "text": "Waxed by hand", "spans": []},
    ]


def _ricos() -> dict[str, Any]:
    def leaf(text: str, *decorations: dict[str, Any]) -> dict[str, Any]:
        return {"type": "TEXT", "id": "", "nodes": [], "textData": {"text": text, "decorations": list(decorations)}}

    def element(kind: str, *nodes: dict[str, Any]) -> dict[str, Any]:
        return {"type": kind, "id": "k1", "nodes": list(nodes)}

    link = leaf("workshop", {"type": "LINK", "linkData": {"link": {"url": _LINK}}})
    picture = {"type": "IMAGE", "id": "p", "nodes": [], "imageData": {"image": {"src": {"url": _PICTURE}}}}
    items = [element("LIST_ITEM", element("PARAGRAPH", leaf(text))) for text in ("Solid oak", "Waxed by hand")]
    words = (leaf("Hand"), leaf("made", {"type": "BOLD", "fontWeightValue": 700}), leaf(" in our "), link)
    blocks = [element("HEADING", leaf("Oak table")), element("PARAGRAPH", *words), picture]
    return {"nodes": [*blocks, element("BULLETED_LIST", *items)], "metadata": {"version": 1}, "documentStyle": {}}


def _dast() -> dict[str, Any]:
    def leaf(text: str, *marks: str) -> dict[str, Any]:
        return {"type": "span", "value": text, **({"marks": list(marks)} if marks else {})}

    def element(kind: str, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"type": kind, "children": list(children), **more}

    link = element("link", leaf("workshop"), url=_LINK, meta=[{"id": "title", "value": "About us"}])
    items = [element("listItem", element("paragraph", leaf(text))) for text in ("Solid oak", "Waxed by hand")]
    words = (leaf("Hand"), leaf("made", "strong"), leaf(" in our "), link)
    blocks = (
        element("heading", leaf("Oak table"), level=1),
        element("paragraph", *words),
        {"type": "block", "item": 7},
    )
    return {"schema": "dast", "document": element("root", *blocks, element("list", *items, style="bulleted"))}


#: Editor -> what it keeps of the description.
DOCUMENTS: dict[str, Any] = {
    "Shopify": _shopify(),
    "ProseMirror": _prosemirror(),
    "Atlassian": _prosemirror(1),
    "Slate": _slate(),
    "Slate in an object": {"children": _slate()},
    "Lexical": _lexical(),
    "Quill": _quill(),
    "Quill, a list": _quill()["ops"],
    "Draft.js": _draft_js(),
    "Contentful": _contentful(),
    "Portable Text": _portable_text(),
    "Editor.js": _editor_js(),
    "Strapi": _strapi(),
    "BlockNote": _blocknote(),
    "Prismic": _prismic(),
    "Wix": _ricos(),
    "DatoCMS": _dast(),
}
