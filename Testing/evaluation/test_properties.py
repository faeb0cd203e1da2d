"""What must hold for any pair of masks."""

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from LiverTumorSegTraining.evaluation.case_scores import score_case
from LiverTumorSegTraining.evaluation.lesion_summary import RULES, SIZE_CLASSES
from LiverTumorSegTraining.evaluation.metrics import METRICS, SCORES, WORST_AT_MISS
from LiverTumorSegTraining.evaluation.phantoms import random_pair
from LiverTumorSegTraining.evaluation.regions import LIVER_TUMOR
from LiverTumorSegTraining.evaluation.summary import summarise

SMALL = (14, 15, 16)
SPACINGS = st.sampled_from([(1.0, 1.0, 1.0), (2.5, 0.8, 0.8), (0.7, 1.3, 3.0)])
SEEDS = st.integers(0, 2**20)
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])

IDEAL = dict.fromkeys(("dice", "iou", "precision", "recall", "specificity", "accuracy", "nsd"), 1.0) | dict.fromkeys(
    (
        "voe",
        "assd_mm",
        "hd95_mm",
        "volume_error_ml",
        "absolute_volume_difference_ml",
        "volume_difference_ml",
        "relative_volume_difference",
    ),
    0.0,
)


def score(reference, prediction, spacing=(1.0, 1.0, 1.0), name="case"):
    return score_case(name, reference, prediction, spacing, LIVER_TUMOR)


def in_room(labels, room=60):
    """Put a small labelmap into a corner of a volume large enough to hold distant lesions."""
    volume = np.zeros((room,) * 3, dtype=np.uint8)
    volume[2 : 2 + labels.shape[0], 2 : 2 + labels.shape[1], 2 : 2 + labels.shape[2]] = labels
    return volume


@few
@given(SEEDS, SPACINGS)
def test_identical_masks_are_ideal_everywhere(seed, spacing):
    labels = random_pair(seed, SMALL).reference
    case = score(labels, labels.copy(), spacing)
    for region in case.regions.values():
        for key, ideal in IDEAL.items():
            assert region.values[key] == ideal, key
    tumor = summarise([case], LIVER_TUMOR).regions["tumor"]
    lesions = tumor.detection["lits"]["all"].recall.n
    for rule in RULES:
        for size in SIZE_CLASSES:
            row = tumor.detection[rule][size]
            assert row.false_positives == 0
            assert {row.recall.value, row.precision.value, row.f1.value} <= {1.0, None}
            assert (row.recall.value is None) == (row.recall.n == 0)
    assert tumor.panoptic.pq.value == (1.0 if lesions else None)


@few
@given(SEEDS, SPACINGS)
@example(3972, (1.0, 1.0, 1.0))  # one reference lesion, no predicted one
def test_swapping_the_masks_swaps_precision_and_recall_and_nothing_else(seed, spacing):
    pair = random_pair(seed, SMALL)
    one = score(pair.reference, pair.prediction, spacing)
    other = score(pair.prediction, pair.reference, spacing)
    for name, region in one.regions.items():
        swapped = other.regions[name].values
        for key in ("dice", "iou", "accuracy", "voe", "assd_mm", "hd95_mm", "nsd", "volume_error_ml"):
            assert region.values[key] == pytest.approx(swapped[key], rel=1e-12, abs=1e-12), key
        assert region.values["precision"] == swapped["recall"]
        assert region.values["volume_difference_ml"] == -swapped["volume_difference_ml"]
    ours, theirs = (summarise([case], LIVER_TUMOR).regions["tumor"] for case in (one, other))
    assert ours.panoptic.pq.value == pytest.approx(theirs.panoptic.pq.value)
    for rule in ("iou_half", "any_overlap"):
        assert ours.detection[rule]["all"].precision.value == theirs.detection[rule]["all"].recall.value


@few
@given(SEEDS, st.tuples(*[st.integers(0, 6)] * 3), st.tuples(*[st.booleans()] * 3), SPACINGS)
def test_translation_and_flips_change_nothing(seed, shift, flips, spacing):
    pair = random_pair(seed, SMALL)
    axes = [axis for axis, flip in enumerate(flips) if flip]

    def moved(labels):
        room = np.zeros(tuple(n + 8 for n in SMALL), dtype=np.uint8)
        room[tuple(slice(s, s + n) for s, n in zip(shift, SMALL, strict=True))] = np.flip(labels, axes)
        return room

    def still(labels):
        return np.pad(labels, ((0, 8),) * 3)

    before = score(still(pair.reference), still(pair.prediction), spacing)
    after = score(moved(pair.reference), moved(pair.prediction), spacing)
    for name, region in before.regions.items():
        for metric in METRICS:
            one, other = region.values[metric.key], after.regions[name].values[metric.key]
            assert one == (None if other is None else pytest.approx(other, rel=1e-12, abs=1e-12)), metric.key
        assert _verdicts(region) == _verdicts(after.regions[name])


def _verdicts(region):
    return sorted((lesion.side, round(lesion.volume_ml, 9), *lesion.found.values()) for lesion in region.lesions)


def _room_cases(seed, count=3):
    pairs = [random_pair(seed + step, SMALL) for step in range(count)]
    return [(in_room(pair.reference), in_room(pair.prediction)) for pair in pairs]


@few
@given(
    SEEDS,
    st.sampled_from(["missed", "false"]),
    st.integers(0, 2),
    st.integers(1, 14),
    SPACINGS,
)
def test_an_added_error_never_improves_any_aggregate(seed, kind, victim, size, spacing):
    """A missed lesion or a false positive, far from the rest, is added to one of three cases."""
    masks = _room_cases(seed)
    before = summarise([score(*pair, spacing) for pair in masks], LIVER_TUMOR)
    reference, prediction = masks[victim][0].copy(), masks[victim][1].copy()
    (reference if kind == "missed" else prediction)[-size - 1 : -1, -size - 1 : -1, -size - 1 : -1] = 2
    masks[victim] = (reference, prediction)
    after = summarise([score(*pair, spacing) for pair in masks], LIVER_TUMOR)
    for name in before.regions:
        assert_not_better(before.regions[name], after.regions[name])


def assert_not_better(before, after):
    for metric in SCORES:
        sign = 1.0 if metric.better == "higher" else -1.0
        pairs = [(before.per_case[metric.key], after.per_case[metric.key])]
        if metric.key in before.pooled:
            pairs.append((before.pooled[metric.key], after.pooled[metric.key]))
        if metric.key in WORST_AT_MISS:
            pairs.append((before.with_reference[metric.key], after.with_reference[metric.key]))
        for one, other in pairs:
            if one.value is not None and other.value is not None:
                assert sign * other.value <= sign * one.value + 1e-12, metric.key
    if before.detection is None:
        return
    for rule in RULES:
        for size in SIZE_CLASSES:
            one, other = before.detection[rule][size], after.detection[rule][size]
            for key in ("recall", "precision", "f1"):
                assert (getattr(other, key).value or 0.0) <= _or(getattr(one, key).value, 1.0) + 1e-12, (
                    rule,
                    size,
                    key,
                )
            assert other.false_positives_per_scan.value >= one.false_positives_per_scan.value
    for key in ("pq", "rq", "sq"):
        one, other = getattr(before.panoptic, key).value, getattr(after.panoptic, key).value
        assert (other or 0.0) <= _or(one, 1.0) + 1e-12, key


def _or(value, default):
    return default if value is None else value


@few
@given(SEEDS, st.sampled_from(WORST_AT_MISS))
def test_a_missed_case_never_improves_a_mean(seed, key):
    cases = [score(*pair) for pair in _room_cases(seed, 2)]
    truth = _room_cases(seed, 1)[0][0]
    truth[40:44, 40:44, 40:44] = 2
    more = [*cases, score_case("missing", truth, None, (1.0, 1.0, 1.0), LIVER_TUMOR)]
    before, after = (summarise(chosen, LIVER_TUMOR).regions["tumor"] for chosen in (cases, more))
    assert after.per_case[key].value <= before.per_case[key].value + 1e-12
    assert after.per_case[key].n == before.per_case[key].n + 1


def test_standard_surface_distances_can_be_lowered_by_a_missed_lesion_beside_a_false_one():
    """The limit of the promise, kept as a fact: why HD95 and ASSD are never the headline."""
    reference, prediction = (np.zeros((60, 20, 20), dtype=np.uint8) for _ in range(2))
    reference[4:12, 5:12, 5:12] = prediction[4:12, 5:12, 5:12] = 2
    prediction[50:55, 5:12, 5:12] = 2
    before = score(reference, prediction).regions["tumor"].values
    reference[44:49, 5:12, 5:12] = 2
    after = score(reference, prediction).regions["tumor"].values
    assert after["hd95_mm"] < before["hd95_mm"]
    assert after["dice"] < before["dice"]
    assert after["volume_error_ml"] > before["volume_error_ml"]


@few
@given(SEEDS, SPACINGS)
def test_what_is_predicted_in_ignored_voxels_does_not_matter(seed, spacing):
    pair = random_pair(seed, SMALL)
    generator = np.random.default_rng(seed)
    reference = pair.reference.copy()
    reference[:5] = 255
    other = pair.prediction.copy()
    other[:5] = generator.integers(0, 3, size=other[:5].shape)
    one, two = score(reference, pair.prediction, spacing), score(reference, other, spacing)
    for name, region in one.regions.items():
        for metric in METRICS:
            if metric.key != "volume_error_ml":
                assert region.values[metric.key] == two.regions[name].values[metric.key], metric.key
