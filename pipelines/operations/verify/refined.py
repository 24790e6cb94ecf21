"""The check of a refined index against the embeddings and against what its stage says of it."""

from model.nearest.index import MANIFEST_FILE
from model.nearest.refined import REFINED_FOLDER
from pipelines.gates.refined import open_refined, refined_problems
from pipelines.operations.findings import Finding
from pipelines.operations.inspected_run import InspectedRun
from pipelines.operations.verify.vectors import Embeddings
from schemas.files import read_json
from schemas.quarantine import quote


def check_refined_index(run: InspectedRun, embeddings: Embeddings | None) -> Finding:
    """It is what `refined_problems` asks for, of the run's model, and the stage's manifest says the same."""
    finding = Finding("refined_index")
    if not run.usable(REFINED_FOLDER, finding):
        return finding
    folder = run.run / REFINED_FOLDER
    with finding.guard(f"{REFINED_FOLDER}/"):
        refined = open_refined(folder)
        finding.looked_at = f"{len(refined.kept_ids):,} items, {len(refined.removed):,} near-duplicates of them"
        finding.expect(f"model_id of {REFINED_FOLDER}/", quote(run.model_id), quote(refined.model_id), "build it again")
        _check_facts(run, finding)
        if embeddings is None:
            finding.fail("not compared with the embeddings, which cannot be read")
            return finding
        for problem in refined_problems(refined, *embeddings):
            finding.fail(problem)
    return finding


def _check_facts(run: InspectedRun, finding: Finding) -> None:
    facts = {k: v for k, v in read_json(run.run / REFINED_FOLDER / MANIFEST_FILE).items() if k != "files"}
    if facts != run.stages["index"].get("refined"):
        finding.fail(f"expected the facts of {REFINED_FOLDER}/{MANIFEST_FILE} in manifests/index.json, got others")
