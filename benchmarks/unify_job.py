"""The stage `unified` beside its bare loop (fuse() of four matrices that are in memory), and beside a day of no change.

    python -m benchmarks.unify_job --items 20000
    python -m benchmarks.unify_job --run RUN --engagements LOG --date 2017-11-30

A day of random items with 3 attributes and 2 pictures of 512 numbers each: item vectors of 256 numbers, prod2vec of 64
(of four items in five), dae of 64, siamese of 128, to a sum of 256 numbers. In one process: a first day, the same day
with the first to take over from, and the bare loop, which reads, encodes and writes nothing.

With --run a trial of the search for weights instead, of the sources that the run has and made vectors of those named
above that it lacks, on the log up to --date: of the items that the tasks ask about, as `itemsage unify` does it, beside
fusing all items of the run, in turn, with the scores of both, which must be equal. Processor seconds, the best of
--trials.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.sources.autoencoder import AutoencoderConfig, save_autoencoder, train_autoencoder
from model.sources.fusion import FusionConfig, fuse, save_fusion, settle_fusion
from model.sources.siamese import SiameseConfig, save_siamese, train_siamese
from model.sources.side_information import SideInformationConfig, count_values, vocabulary_of
from model.sources.unified_manifest import DAE, FUSION_FOLDER, SIAMESE, UnifiedManifest, write_unified_manifest
from model.sources.unit_rows import unit_or_zero
from model.sources.weight_search import Objective
from pipelines.console.jobs import beam_options
from pipelines.console.thresholds import LogThresholds
from pipelines.embed.parts import plan_parts
from pipelines.one_embedding.catalogue import Catalogue
from pipelines.one_embedding.sessions import read_sessions
from pipelines.one_embedding.validation import Weighed, seen_attributes, weighed_on
from pipelines.one_embedding.vectors import SourceVectors, finished_sources, seen_fields, source_of
from pipelines.run.opened import Run
from pipelines.run.stage import run_stage
from pipelines.run.units import Unit, UnitWriter, bucket_name, read_stage_manifest, write_stage_manifest
from pipelines.sources.content import columns_of
from pipelines.unify.stage import Unified, UnifiedConfig
from schemas.days import end_of_day_us
from schemas.hashing import bucket_of, seed_of
from schemas.records.clickstream import EVIDENCE
from schemas.records.embeddings import embeddings_metadata, write_embeddings_file
from schemas.records.tfrecords import ItemFeatures, encode_features, write_records
from schemas.tables import ITEMS, NUM_TEXT_FIELDS, TEXT_FIELDS

MODEL_ID = "itemsage-0123456789ab"
NUM_BUCKETS, PICTURE_DIM, DIMS = 8, 512, {"itemsage": 256, "prod2vec": 64, "dae": 64, "siamese": 128}
WEIGHTS = {"itemsage": 1.0, "prod2vec": 0.5, "dae": 0.5, "siamese": 0.5}


def item_rows(ids: list[str]) -> pa.Table:
    """ITEMS of random brands, colours and types."""
    random = np.random.default_rng(0)
    columns: dict[str, list[str] | list[None] | list[list[str]]] = {name: [None] * len(ids) for name in TEXT_FIELDS}
    for name, number in (("brand", 500), ("colors", 30), ("product_types", 300)):
        columns[name] = [f"{name} {value}" for value in random.zipf(1.3, len(ids)) % number]
    return pa.table({"item_id": ids, **columns, "images": [[] for _ in ids]}, schema=ITEMS)


def make_day(run: Path, ids: list[str]) -> np.ndarray:
    """Finished items, features and embeddings; the embeddings."""
    random, rows = np.random.default_rng(1), item_rows(ids)
    bucket_N = np.array([bucket_of(name, NUM_BUCKETS) for name in ids])
    names = [bucket_name(bucket, NUM_BUCKETS) for bucket in range(NUM_BUCKETS)]
    for bucket, name in enumerate(names):
        own = np.flatnonzero(bucket_N == bucket)
        items = UnitWriter(str(run), Unit("items", name, "benchmark"))
        with items.file(f"items/{name}.parquet") as temporary:
            pq.write_table(rows.take(own), temporary)
        items.seal()
        features = UnitWriter(str(run), Unit("features", name, "benchmark"))
        with features.file(f"features/{name}.tfrecord") as temporary:
            write_records(temporary, (encode_features(features_of(ids[row], random)) for row in own))
        features.counts["items_written"] = len(own)
        features.seal()
    write_stage_manifest(str(run), "items", names, num_buckets=NUM_BUCKETS)
    write_stage_manifest(str(run), "features", names)
    matrix_ND = unit_or_zero(random.standard_normal((len(ids), DIMS["itemsage"])))
    bucket_of_part = {part: part.buckets for part in plan_parts(read_stage_manifest(str(run), "features"), MODEL_ID)}
    for part, buckets in bucket_of_part.items():
        own = np.flatnonzero(np.isin(bucket_N, [bucket for bucket, _ in buckets]))
        writer = UnitWriter(str(run), Unit("embeddings", part.name, "benchmark"))
        with writer.file(part.path) as temporary:
            metadata = embeddings_metadata(MODEL_ID, DIMS["itemsage"])
            write_embeddings_file(temporary, [ids[row] for row in own], matrix_ND[own], metadata)
        writer.counts["rows_written"] = len(own)
        writer.seal()
    write_stage_manifest(str(run), "embeddings", [part.name for part in bucket_of_part], model_id=MODEL_ID)
    return matrix_ND


def features_of(name: str, random: np.random.Generator) -> ItemFeatures:
    """An item with two pictures."""
    return ItemFeatures(
        item_id=name,
        token_ids=np.ones(1, np.int32),
        token_offsets=np.array([0] + [1] * NUM_TEXT_FIELDS, np.int32),
        pictures=random.standard_normal((2, PICTURE_DIM), np.float32).astype(np.float16),
    )


def make_unified(folder: Path, ids: list[str]) -> UnifiedManifest:
    """A unified model whose networks are at their start: what they cost does not depend on their training."""
    random, rows = np.random.default_rng(2), item_rows(ids)
    columns, side = columns_of(rows), SideInformationConfig()
    vocabulary = vocabulary_of(count_values(columns, side), side)
    of_dae = AutoencoderConfig(output_dim=DIMS["dae"], epochs=0)
    save_autoencoder(train_autoencoder(ids, vocabulary.rows(columns), vocabulary, of_dae), folder / DAE / "model")
    pictures_PD = random.standard_normal((2_000, PICTURE_DIM), np.float32)
    products = [f"item-{number // 2}" for number in range(2_000)]
    of_siamese = SiameseConfig(start="discriminant", directions=DIMS["siamese"], epochs=0)
    save_siamese(train_siamese(pictures_PD, products, of_siamese), folder / SIAMESE / "model")
    known = [name for number, name in enumerate(ids) if number % 5]
    for kind in ("embeddings", "evidence"):
        (folder / "prod2vec" / kind).mkdir(parents=True)
    vectors_ND = unit_or_zero(random.standard_normal((len(known), DIMS["prod2vec"])))
    path = folder / "prod2vec" / "embeddings" / "part-00000-of-00001.parquet"
    write_embeddings_file(path, known, vectors_ND, embeddings_metadata("prod2vec-0", DIMS["prod2vec"]))
    evidence = pa.table([known, random.integers(1, 99, len(known))], schema=EVIDENCE)
    pq.write_table(evidence, folder / "prod2vec" / "evidence" / "part-00000-of-00001.parquet")
    fusion = settle_fusion(fusion_config(), {name: np.ones((1, dim), np.float32) for name, dim in DIMS.items()})
    save_fusion(fusion, folder / FUSION_FOLDER)
    return write_unified_manifest(folder, fusion, MODEL_ID, {name: f"{name}-0" for name in DIMS})


def fusion_config() -> FusionConfig:
    return FusionConfig(weights=WEIGHTS, half_evidence={"prod2vec": 5.0})


def bare_loop(matrix_ND: np.ndarray) -> float:
    """Seconds of fuse() alone."""
    random = np.random.default_rng(3)
    sources = {name: unit_or_zero(random.standard_normal((len(matrix_ND), dim))) for name, dim in DIMS.items()}
    sources["itemsage"] = matrix_ND
    fusion, evidence = settle_fusion(fusion_config(), sources), {"prod2vec": np.full(len(matrix_ND), 9)}
    started_s = time.perf_counter()
    fuse(fusion, sources, evidence)
    return time.perf_counter() - started_s


def stage(run: Path, unified: Path, reuse_from: Path | None = None) -> float:
    """Seconds of the stage."""
    started_s = time.perf_counter()
    config = UnifiedConfig(run=str(run), unified=str(unified), reuse_from=reuse_from and str(reuse_from))
    run_stage(Unified(config), beam_options([]))
    return time.perf_counter() - started_s


def search_trials(arguments: argparse.Namespace) -> None:
    """Prints seconds of a trial on the items that are asked about, and on all."""
    run = Run(arguments.run)
    catalogue = Catalogue.of(run)
    sources = [source_of(run, name, catalogue.item_ids) for name in finished_sources(run)]
    known = {one.name for one in sources}
    sources += [made_source(name, len(catalogue.item_ids)) for name in DIMS if name not in known]
    end_us = end_of_day_us(arguments.date, "UTC")
    ids, limits = pa.array(catalogue.item_ids, pa.string()), LogThresholds()
    log, _ = read_sessions(arguments.engagements, {}, arguments.date, end_us, ids, limits, "it is measured")
    half = {one.name: 5.0 for one in sources if one.log_end_us is not None}
    even = dict.fromkeys((one.name for one in sources), 1.0)
    config = FusionConfig(weights=even, half_evidence=half, dim=DIMS["itemsage"])
    weighed = weighed_on(catalogue, sources, log, end_us, config)
    every = fusing_all(weighed, sources, config)
    seconds: dict[str, list[float]] = {"asked": [], "all": []}
    for trial in range(arguments.trials):
        weights = {name: 1.0 + (trial + place) % 4 for place, name in enumerate(sorted(even))}
        found = []
        for name, scored in (("asked", weighed.objective), ("all", every)):
            started_s = time.process_time()
            found.append(scored(weights))
            seconds[name].append(time.process_time() - started_s)
        if found[0] != found[1]:
            raise ValueError(f"expected equal scores, got {found} for {weights}")
    least = {name: min(taken) for name, taken in seconds.items()}
    tasks = weighed.tasks
    asked = len(np.unique(np.concatenate([tasks.asked(name) for name in ("", *tasks.questions)])))
    print(f"sources {', '.join(sorted(even))}; tasks {', '.join(tasks.names)}; scores of both equal: {found[0]}")
    print(f"asked of {asked:,} of {len(catalogue.item_ids):,} items")
    ratio = least["all"] / least["asked"]
    print(f"trial of those asked {least['asked']:.2f} s, of all {least['all']:.2f} s: {ratio:.1f} times")


def made_source(name: str, num_items: int) -> SourceVectors:
    """Random unit vectors of all items."""
    random = np.random.default_rng(seed_of("made source", name))
    return SourceVectors(
        name=name,
        model_id="made",
        vectors_ND=unit_or_zero(random.standard_normal((num_items, DIMS[name]))),
        evidence_N=None,
        seen=frozenset(TEXT_FIELDS) if name == "itemsage" else seen_fields(name),
        log_end_us=None,
    )


def fusing_all(weighed: Weighed, sources: list[SourceVectors], config: FusionConfig) -> Objective:
    """The same scores by fusing all items in each trial."""
    vectors = {one.name: one.vectors_ND for one in sources}
    evidence = {one.name: one.evidence_N for one in sources if one.evidence_N is not None}
    blind = {one.name: seen_attributes(one, weighed.tasks.questions) for one in sources}

    def scores(weights: Mapping[str, float]) -> dict[str, float]:
        fused: dict[tuple[str, ...], np.ndarray] = {}

        def vectors_for(attribute: str) -> np.ndarray | None:
            names = tuple(sorted(name for name in weights if attribute not in blind[name]))
            if names and names not in fused:
                half = {name: config.half_evidence[name] for name in names if name in config.half_evidence}
                own = replace(config, weights={name: weights[name] for name in names}, half_evidence=half)
                fused[names] = fuse(settle_fusion(own, vectors), vectors, evidence)
            return fused.get(names)

        return weighed.tasks.scores(vectors_for)

    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    for name in ("--run", "--engagements", "--date"):
        parser.add_argument(name)
    parser.add_argument("--trials", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.run is not None:
        search_trials(arguments)
    else:
        made_day(arguments)


def made_day(arguments: argparse.Namespace) -> None:
    """Prints seconds of the stage and of the bare loop."""
    ids = [f"item-{number:07d}" for number in range(arguments.items)]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        matrix_ND = make_day(place / "day", ids)
        make_day(place / "next", ids)
        make_unified(place / "unified", ids)
        report = {
            "first_day_s": stage(place / "day", place / "unified"),
            "same_day_again_s": stage(place / "next", place / "unified", place / "day"),
            "fuse_alone_s": bare_loop(matrix_ND),
        }
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    for name, seconds in report.items():
        print(f"{name:20s} {seconds:8.2f}   {arguments.items / seconds:10,.0f} items/s")
    print(f"peak {peak_gb:.1f} GB")


if __name__ == "__main__":
    main()
