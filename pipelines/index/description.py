"""The index stage in words: what its indexes cost, what they find, and whether that is enough."""

from typing import Any

from model.nearest.index_folder import ANNOY_FILE
from model.nearest.refined import REFINED_FOLDER
from model.nearest.searched import SEARCHED
from pipelines.console.terminal import few_digits


def describe(manifest: dict[str, Any]) -> str:
    """What a person wants to know of an index: its cost, its recall for each kind of query, and whether that is
    enough."""
    latency, searched = manifest["times"].get("latency_p50_ms"), manifest[SEARCHED]
    lines = [
        f"index: {manifest['n_trees']} trees, search_k {manifest['search_k']:,}, {_recalls(manifest)} against exact "
        f"search among {manifest['n_items']:,} items"
        + (f", {latency:.2f} ms a query" if latency is not None else "")
        + f"; {manifest['share_with_twin']:.1%} of the items share their vector with another"
    ]
    among = f"{searched['n_vectors']:,} different vectors" if searched["distinct"] else "the items"
    for kind, facts in searched["kinds"].items():
        if kind != "item" or searched["distinct"]:
            asked = f"{facts['num_queries']:,} {kind} queries ({facts['queries']})"
            lines.append(f"index: {asked} among {among}: search_k {facts['search_k']:,}, {_recalls(facts)}")
    lines += [_warning(kind, facts, manifest) for kind, facts in searched["kinds"].items() if _fails(facts)]
    if _fails(manifest) and not _fails(searched["kinds"]["item"]):
        lines.append(_warning("item", manifest, manifest) + f" (of {ANNOY_FILE}, which our own searches do not use)")
    return "\n".join(lines)


def describe_refined(manifest: dict[str, Any], times: dict[str, float]) -> str:
    """What a person wants to know of a refined index, from the stage's manifest: what it saves, and what it costs."""
    index = manifest["refined"]
    refined = index["refined"]
    sizes = {entry["path"]: entry["bytes"] for entry in manifest["files"]}
    before, after = (sizes[f"{folder}/{ANNOY_FILE}"] / 1e6 for folder in ("index", REFINED_FOLDER))
    latency = times.get("latency_p50_ms")
    return (
        f"index: refined at cosine {refined['cosine']}: {refined['items_in']:,} -> {refined['items_kept']:,} items "
        f"({refined['items_removed']:,} near-duplicates, at most {refined['largest_group']:,} items as one), "
        f"{few_digits(before)} MB -> {few_digits(after)} MB, {index['n_trees']} trees, {_recalls(index)}"
        + (f", {latency:.2f} ms a query" if latency is not None else "")
        + f"; of the exact nearest 10 of all items {refined['share_represented']:.1%} are represented in its 10 "
        f"results; they are {refined['different_of_full_top']:.1f} different ones"
    )


def _fails(facts: dict[str, Any]) -> bool:
    return not facts["target_reached"]


def _recalls(facts: dict[str, Any]) -> str:
    return ", ".join(f"recall@{k} {facts['recall'][k]:.3f}" for k in sorted(facts["recall"], key=int))


def _warning(kind: str, facts: dict[str, Any], manifest: dict[str, Any]) -> str:
    backend, other = manifest[SEARCHED]["backend"], manifest[SEARCHED].get("voyager", {}).get(kind)
    told = "what --index-backend voyager would give is not known: pip install 'itemsage[voyager]'"
    if backend != "annoy":
        told = f"--index-backend {backend} does not reach it"
    elif other is not None:
        told = f"--index-backend voyager gives {other['recall']['10']} with search_k {other['search_k']:,}"
    return (
        f"index: WARNING: expected recall@10 >= {manifest['target_recall']} of {kind} queries, got "
        f"{facts['recall']['10']} with at most {manifest['max_trees']} trees and search_k "
        f"{manifest['max_search_k']:,}: raise --max-trees or --max-search-k, or search with --exact; {told}"
    )
