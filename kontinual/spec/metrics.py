"""The names of everything that is counted: the contract of serving, collector and rules.

All series carry `model` (the loop's name) and `version` (the registry's number
as text) unless said otherwise. Bins are text: `0`, `1`, … from the model
package's reference; numbers also have `null`, categories `null` and `unseen`
(see `kontinual.model.reference`). Every bin is exported from the start, with 0.

Predictor (label `version` is its own):

| metric | type | further labels | counts |
|---|---|---|---|
| kontinual_predictions_total | counter | | rows answered |
| kontinual_requests_total | counter | code (200, 4xx, 5xx) | HTTP requests |
| kontinual_request_seconds | histogram | | time to answer a request |
| kontinual_feature_total | counter | feature, bin | rows by bin of a feature |
| kontinual_score_total | counter | bin | rows by bin of the score (20 equal bins of [0, 1]) |
| kontinual_score_sum_total | counter | | sum of scores |
| kontinual_expected_log_loss_total | counter | | sum of the score's own entropy |
| kontinual_low_confidence_total | counter | | rows with max(p, 1-p) < 0.6 |
| kontinual_input_anomalies_total | counter | feature, kind | values missing, ill_typed, out_of_range, unseen, null, and rows with extra fields; of a refused request what came with its first 20 mistakes |
| kontinual_anomalous_requests_total | counter | | requests with one anomaly or more |
| kontinual_log_dropped_total | counter | reason | logged requests given up |
| kontinual_reference_feature_share | gauge | feature, bin | share of rows in training, > 0 |
| kontinual_reference_score_share | gauge | bin | share of holdout rows, > 0 |
| kontinual_reference_low_confidence_share | gauge | | share of holdout rows |
| kontinual_reference_quality | gauge | metric | holdout value of roc_auc, binned_roc_auc, log_loss, base_rate, expected_log_loss |
| kontinual_model_created_seconds | gauge | | Unix time the package was made |

Collector:

| metric | type | further labels | counts |
|---|---|---|---|
| kontinual_outcomes_total | counter | slice, group | rows whose label came |
| kontinual_outcome_positives_total | counter | slice, group | of these, label 1 |
| kontinual_outcome_score_sum_total | counter | slice, group | sum of their scores |
| kontinual_outcome_log_loss_sum_total | counter | slice, group | sum of their log losses |
| kontinual_outcome_brier_sum_total | counter | slice, group | sum of (score - label)^2 |
| kontinual_outcome_bin_total | counter | label (0, 1), bin | rows by score bin |
| kontinual_outcome_negatives_below_total | counter | bin | label-0 rows in lower bins than this |
| kontinual_events_total | counter | result (stored, duplicate, invalid); no version | prediction events |
| kontinual_labels_total | counter | result (joined, early, duplicate, conflict, invalid); no version | labels |
| kontinual_pruned_rows_total | counter | kind (taken, unlabelled, early); no version | rows no longer kept: in a span for long enough, or too long without label or prediction |
| kontinual_matured_rows | gauge | no version | labelled rows not yet in a span |
| kontinual_unlabelled_rows | gauge | no version | predictions still waiting |
| kontinual_ripening_rows | gauge | no version | labelled rows whose label's delay is not over |

`slice="all", group="all"` holds every row; each named slice adds its groups.
ROC AUC over the 20 score bins of any window is sum(pos_b * (below_b + neg_b / 2)) / (P * N)
in PromQL. Rows of one bin tie, so it is less than the exact one, far less where positives are
rare and most scores are in the lowest bin: its like on the holdout is `binned_roc_auc`.

Trigger:

| metric | type | labels | meaning |
|---|---|---|---|
| kontinual_champion_info | gauge | model, version | 1 for the champion, no other series |
| kontinual_champion_since_seconds | gauge | model | Unix time of its promotion |
| kontinual_triggers_total | counter | model, source, decision | decisions taken |
| kontinual_runs_total | counter | model, outcome | runs ended |
| kontinual_run_in_progress | gauge | model | 1 while a run goes on |
| kontinual_triggers_held | gauge | model | triggers that wait for a final decision |
| kontinual_trigger_undecided_seconds | gauge | model | age of the oldest trigger not yet examined |
| kontinual_webhook_alerts_total | counter | model, result (recorded, duplicate, resolved, other_model) | alerts delivered |
| kontinual_trigger_errors_total | counter | model, kind (ledger, launch, follow, champion, other) | failures, each tried again |
| kontinual_trigger_refused_total | counter | model, reason | requests refused: malformed, unauthenticated, forbidden, not_there, not_now, too_large |
| kontinual_trigger_leads | gauge | model | 1 for the replica whose worker works |
| kontinual_loop_paused | gauge | model | 1 while a person has paused the loop, or all loops |
"""

__all__ = ["LOW_CONFIDENCE", "SCORE_BINS"]

SCORE_BINS = 20
LOW_CONFIDENCE = 0.6
