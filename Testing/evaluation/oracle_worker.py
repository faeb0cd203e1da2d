"""Runs in an environment of its own: scores pairs with surface-distance and panoptica and writes their figures.

With picai_eval it scores detection maps in place of them: detections.npz holds reference_N and map_N (float32).

Usage: python oracle_worker.py PAIRS.npz FIGURES.json, where PAIRS.npz holds reference_N, prediction_N (bool) and
spacing_N ([z, y, x] in mm).
"""

import json
import sys

import numpy as np


def surface_figures(reference, prediction, spacing):
    import surface_distance

    distances = surface_distance.compute_surface_distances(reference, prediction, spacing)
    to_prediction, to_reference = surface_distance.compute_average_surface_distance(distances)
    areas = [distances["surfel_areas_gt"].sum(), distances["surfel_areas_pred"].sum()]
    return {
        "dice": float(surface_distance.compute_dice_coefficient(reference, prediction)),
        "hd95_mm": float(surface_distance.compute_robust_hausdorff(distances, 95)),
        # The package gives the two directed averages; the symmetric one weights them by their areas.
        "assd_mm": float((to_prediction * areas[0] + to_reference * areas[1]) / sum(areas)),
        "nsd": float(surface_distance.compute_surface_dice_at_tolerance(distances, 2.0)),
    }


def panoptic_figures(reference, prediction):
    from panoptica import (
        CCABackend,
        ConnectedComponentsInstanceApproximator,
        InputType,
        Metric,
        NaiveThresholdMatching,
        Panoptica_Evaluator,
    )

    evaluator = Panoptica_Evaluator(
        expected_input=InputType.SEMANTIC,
        instance_approximator=ConnectedComponentsInstanceApproximator(cca_backend=CCABackend.cc3d),
        instance_matcher=NaiveThresholdMatching(matching_threshold=0.5, strict_threshold=True),
        instance_metrics=[Metric.IOU],
        global_metrics=[],
    )
    result = evaluator.evaluate(prediction.astype(np.uint8), reference.astype(np.uint8), verbose=False)["ungrouped"]
    keys = {"reference": "num_ref_instances", "prediction": "num_pred_instances", "tp": "tp", "fp": "fp", "fn": "fn"}
    figures = {
        ours: int(getattr(result, theirs, getattr(result, "n_" + theirs[4:], 0))) for ours, theirs in keys.items()
    }
    for name in ("rq", "sq", "pq"):
        value = float(getattr(result, name)) if figures["tp"] else 0.0
        figures[name] = value if np.isfinite(value) else None
    return figures


def detection_figures(maps):
    from picai_eval import Metrics
    from picai_eval.eval import evaluate_case

    results, confidence = {}, {}
    for number in range(sum(key.startswith("map") for key in maps)):
        found, case_confidence, _, _ = evaluate_case(maps[f"map_{number}"], maps[f"reference_{number}"])
        results[number], confidence[number] = found, float(case_confidence)
    metrics = Metrics(lesion_results=results, case_pred=confidence)
    counts = [[sum(t and c > 0 for t, c, _ in found), sum(not t for t, _, _ in found)] for found in results.values()]
    return {"ap": float(metrics.AP), "auroc": float(metrics.auroc), "counts": counts}


def main():
    pairs = np.load(sys.argv[1])
    if "map_0" in pairs:
        with open(sys.argv[2], "w") as file:  # noqa: PTH123 - this file runs without the project's rules or packages
            json.dump(detection_figures(pairs), file)
        return
    figures = []
    for number in range(sum(key.startswith("spacing") for key in pairs)):
        reference, prediction = pairs[f"reference_{number}"], pairs[f"prediction_{number}"]
        spacing = tuple(pairs[f"spacing_{number}"])
        row = {}
        if reference.any() and prediction.any():
            row |= surface_figures(reference, prediction, spacing)
        if reference.any() or prediction.any():
            row |= panoptic_figures(reference, prediction)
        figures.append(row)
    with open(sys.argv[2], "w") as file:  # noqa: PTH123 - this file runs without the project's rules or packages
        json.dump(figures, file)


if __name__ == "__main__":
    main()
