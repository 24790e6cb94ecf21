"""The good part of the catalogue: each product's text and pictures, and which picture files have to be rendered."""

from dataclasses import dataclass

import numpy as np

from schemas.hashing import seed_of
from schemas.sample_shop.assortment import Assortment, look_of
from schemas.sample_shop.pictures import EXTENSIONS, FORMATS, VIEWS, PictureSpec
from schemas.sample_shop.wording import Text, item_text, sparse_text
from schemas.tables import TEXT_FIELDS

QUERY_FOLDER = "images/queries"
MAX_QUERY_PICTURES = 1500

_NO_PICTURES, _NO_TEXT, _SPARSE_TEXT, _SHARED_URI, _COPIED_FILE = 0.04, 0.04, 0.03, 0.03, 0.02
_NUM_VIEWS, _NUM_VIEWS_WEIGHTS = (1, 2, 3, 4, 5), (0.24, 0.34, 0.24, 0.12, 0.06)
_FIRST_VIEW_WEIGHTS, _VIEW_WEIGHTS = (0.62, 0.22, 0.13, 0.03), (0.2, 0.3, 0.3, 0.2)
_QUERY_VIEW_WEIGHTS = (0.08, 0.27, 0.5, 0.15)
_PNG_SHARE = 0.12
#: Shares of the rare encodings; each comes at least once, whatever the size of the shop.
_RARE_FORMATS = {
    "exif": 0.02,
    "cmyk": 0.012,
    "palette": 0.012,
    "grey": 0.004,
    "sixteen_bit": 0.004,
    "transparent": 0.015,
    "gif": 0.005,
    "webp": 0.005,
}


@dataclass(kw_only=True)
class Catalogue:
    """Rows in the order of the assortment, the pictures behind them, and files that are byte copies of others."""

    texts: list[Text]
    images: list[list[str]]
    pictures: list[PictureSpec]
    copies: list[tuple[str, str]]  # (URI of the original, URI of the copy)

    def row(self, number: int, item_id: str) -> dict[str, object]:
        """One catalogue row as schemas.tables.CATALOGUE has it."""
        return {"item_id": item_id, **self.texts[number], "images": list(self.images[number])}


def make_catalogue(assortment: Assortment, seed: int) -> Catalogue:
    """Texts and pictures of all products: about 4 % without pictures, 4 % without text, 3 % with hardly any text."""
    rng = np.random.default_rng(seed_of("catalogue", seed))
    num_items = len(assortment.products)
    order = rng.permutation(num_items)
    bounds = np.cumsum([max(1, round(share * num_items)) for share in (_NO_PICTURES, _NO_TEXT, _SPARSE_TEXT)])
    no_pictures, no_text, sparse = (set(part.tolist()) for part in np.split(order, bounds)[:3])
    texts = []
    for number, product in enumerate(assortment.products):
        if number in no_text:
            texts.append(dict.fromkeys(TEXT_FIELDS))
        else:
            texts.append((sparse_text if number in sparse else item_text)(product, seed))
    catalogue = Catalogue(texts=texts, images=[[] for _ in texts], pictures=[], copies=[])
    with_pictures = [number for number in range(num_items) if number not in no_pictures]
    for number, count in zip(
        with_pictures, rng.choice(_NUM_VIEWS, len(with_pictures), p=_NUM_VIEWS_WEIGHTS), strict=True
    ):
        _add_pictures(catalogue, assortment, number, 1 if number in sparse else int(count), seed)
    catalogue.pictures = _with_rare_formats(catalogue, rng)
    _share_pictures(catalogue, assortment, with_pictures, rng)
    return catalogue


def _add_pictures(catalogue: Catalogue, assortment: Assortment, number: int, count: int, seed: int) -> None:
    product = assortment.products[number]
    rng = np.random.default_rng(seed_of("views", seed, product.item_id))
    for view in range(count):
        file_format = "png" if rng.random() < _PNG_SHARE else "jpeg"
        spec = PictureSpec(
            uri=f"images/{number % 97:02d}/{product.item_id}-{view}.{EXTENSIONS.get(file_format, 'png')}",
            look=product.look,
            view=VIEWS[int(rng.choice(len(VIEWS), p=_VIEW_WEIGHTS if view else _FIRST_VIEW_WEIGHTS))],
            file_format=file_format,
            seed=seed_of("picture", seed, product.item_id, view),
        )
        catalogue.images[number].append(spec.uri)
        catalogue.pictures.append(spec)


def _with_rare_formats(catalogue: Catalogue, rng: np.random.Generator) -> list[PictureSpec]:
    """Gives some pictures a rare encoding, under a URI with its ending."""
    pictures, renamed = list(catalogue.pictures), {}
    chosen = iter(rng.permutation(len(pictures)).tolist())
    for file_format, share in _RARE_FORMATS.items():
        for _ in range(max(1, round(share * len(pictures)))):
            position = next(chosen, None)
            if position is None:
                break
            old = pictures[position]
            uri = f"{old.uri.rsplit('.', 1)[0]}.{EXTENSIONS.get(file_format, 'png')}"
            pictures[position] = PictureSpec(uri, old.look, old.view, file_format, old.seed)
            renamed[old.uri] = uri
    for uris in catalogue.images:
        uris[:] = [renamed.get(uri, uri) for uri in uris]
    return pictures


def _share_pictures(
    catalogue: Catalogue, assortment: Assortment, with_pictures: list[int], rng: np.random.Generator
) -> None:
    """Adds another item's picture to some items: by the same URI (a family shot), or as a copied file."""
    by_family: dict[int, list[int]] = {}
    for number in with_pictures:
        by_family.setdefault(assortment.products[number].family, []).append(number)
    siblings = [group for group in by_family.values() if len(group) > 1]
    if not siblings:
        return
    num_shared, num_copied = (max(1, round(share * len(catalogue.images))) for share in (_SHARED_URI, _COPIED_FILE))
    for position in range(num_shared + num_copied):
        group = siblings[int(rng.integers(len(siblings)))]
        giver, taker = rng.choice(group, 2, replace=False).tolist()
        uri = catalogue.images[giver][0]
        if position >= num_shared:
            copy = f"images/relisted/{position:05d}.{uri.rsplit('.', 1)[1]}"
            catalogue.copies.append((uri, copy))
            uri = copy
        if uri not in catalogue.images[taker]:
            catalogue.images[taker].append(uri)


def make_query_pictures(assortment: Assortment, seed: int) -> tuple[list[PictureSpec], np.ndarray]:
    """What shoppers photograph: new pictures of products that sell, and the product each was made after, int64 [Q].

    Half show that very product in another view, half another one of the same type, colour and pattern.
    """
    rng = np.random.default_rng(seed_of("queries", seed))
    count = min(max(len(assortment.products) // 2, 1), MAX_QUERY_PICTURES)
    anchors = rng.choice(len(assortment.products), size=count, p=assortment.popularity_N)
    specs = []
    for number, anchor in enumerate(anchors.tolist()):
        product = assortment.products[anchor]
        look = product.look
        if rng.random() < 0.5:
            look = look_of(rng, product, (float(rng.random()), float(rng.random()), float(rng.random())))
        view = VIEWS[int(rng.choice(len(VIEWS), p=_QUERY_VIEW_WEIGHTS))]
        uri = f"{QUERY_FOLDER}/q{number:05d}.jpg"
        specs.append(PictureSpec(uri, look, view, FORMATS[0], seed_of("query picture", seed, number)))
    return specs, anchors
