import re
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import kontinual.spec.metrics as contract
from kontinual.model import ModelPackage
from kontinual.serving import Journal, NoEventLog, Predictor, RowReader, Tally, export

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(registry: CollectorRegistry) -> Samples:
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for s in family.samples
    }


def exported(folder: Path) -> tuple[Journal, CollectorRegistry]:
    package, registry = ModelPackage.read(folder), CollectorRegistry()
    kinds = RowReader(package.signature, max_rows=1).kinds
    journal = Journal(Tally(package.reference, kinds=kinds), NoEventLog())
    export(Predictor.load(folder, version="3", journal=journal), journal, registry=registry)
    return journal, registry


def test_every_series_is_there_from_the_start_with_zero(package_folder: Path) -> None:
    _, registry = exported(package_folder)
    samples = scrape(registry)
    counters = {key: value for key, value in samples.items() if key[0].endswith("_total")}
    assert set(counters.values()) == {0.0}
    bins = [dict(labels) for name, labels in counters if name == "kontinual_feature_total"]
    names = {b["bin"] for b in bins if b["feature"] == "origin"}
    assert names == {"0", "1", "2", "unseen", "null"}
    assert {b["model"] for b in bins} == {"delays"}
    assert {b["version"] for b in bins} == {"3"}


def test_the_names_are_those_of_the_contract(package_folder: Path) -> None:
    _, registry = exported(package_folder)
    text = (contract.__doc__ or "").split("Collector:")[0]
    promised = set(re.findall(r"^\| (kontinual_\w+)", text, re.MULTILINE))
    had = {re.sub(r"_(bucket|count|sum)$", "", name) for name, _ in scrape(registry)} | {
        name for name, _ in scrape(registry)
    }
    assert promised <= had
    assert {n for n in had if n not in promised} <= {
        "kontinual_score",
        *(f"kontinual_request_seconds_{part}" for part in ("bucket", "count", "sum")),
    }


def test_a_scrape_sees_rows_that_wait_and_bins_join_the_reference(package_folder: Path) -> None:
    journal, registry = exported(package_folder)
    matrix = np.array([[10, 61.5, 1400, 1, 1], [10, np.nan, 1400, 3, 1]], np.float32)
    journal.answered(b"{}", matrix, [0.1, 0.9], 0.004)
    samples = scrape(registry)
    own = (("model", "delays"), ("version", "3"))
    assert samples["kontinual_predictions_total", own] == 2
    unseen = (("bin", "unseen"), ("feature", "origin"), *own)
    assert samples["kontinual_feature_total", unseen] == 1
    assert samples["kontinual_request_seconds_bucket", (("le", "+Inf"), *own)] == 1
    assert samples["kontinual_request_seconds_bucket", (("le", "0.003"), *own)] == 0
    counted = {labels for name, labels in samples if name == "kontinual_feature_total"}
    reference = {labels for name, labels in samples if name == "kontinual_reference_feature_share"}
    assert counted == reference
    shares = [v for (n, labels), v in samples.items() if labels in reference and "share" in n]
    assert min(shares) > 0
    binned = (("metric", "binned_roc_auc"), *own)
    assert samples["kontinual_reference_quality", binned] == 0.79
