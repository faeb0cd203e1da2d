"""Classes behind liver and tumour are trained as themselves: parts of made-up tumours, a localiser's second organ."""

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from LiverTumorSegLib.errors import UsageError
from LiverTumorSegLib.model.bundle import load_bundle

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.description import in_agreement
from LiverTumorSegTraining.data.preparation import prepare
from LiverTumorSegTraining.export.export_model import export_model
from LiverTumorSegTraining.samples.sampling import PatchSampler
from LiverTumorSegTraining.samples.synthetic import TumorAppearance, add_tumors
from LiverTumorSegTraining.training.loop import Trainer
from LiverTumorSegTraining.training.validation import Segmented, case_figures, score

SPACING = np.array([1.0, 1.0, 1.0])
LIVER_TUMOR = ["liver", "tumor"]
LOOK = TumorAppearance(
    radius_mm=12.0, contrast_hu=-40.0, edge_mm=0.5, irregularity=0.1, texture_hu=3.0, rim_hu=0.0, core_hu=-40.0,
    mass_effect=0.0, calcium_hu=400.0,
)  # fmt: skip


def drawn(classes, seed=3, **changes):
    """Return image and label of a liver with one made-up tumour."""
    label = np.ones((48, 48, 48), np.uint8)
    image = np.full(label.shape, 110, np.float32)
    looks = [replace(LOOK, **changes)]
    return add_tumors(image, label, SPACING, np.random.default_rng(seed), looks=looks, classes=classes)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("necrosis", "necrosis"),
        ("Necrotic core", "necrosis"),
        ("NCR", "necrosis"),
        ("tumour necrosis", "necrosis"),
        ("calcifications", "calcium"),
        ("intratumoral calcium", "calcium"),
        ("hepatic vessel", None),
    ],
)
def test_a_made_up_part_is_labelled_as_the_class_of_its_name(name, part):
    image, plain = drawn(LIVER_TUMOR)
    same, label = drawn([*LIVER_TUMOR, name])
    assert np.array_equal(image, same)
    assert np.array_equal(label > 1, plain == 2), "the tumour as a whole is where it was"
    found = label == 3
    if part is None:
        assert not found.any()
    elif part == "calcium":
        assert 0 < found.sum() < 0.4 * (plain == 2).sum()
        assert image[found].mean() > image[label == 2].mean() + 150
    else:
        assert 0.05 < found.sum() / (plain == 2).sum() < 0.25, "a core of half the radius is an eighth"


def test_calcium_in_a_necrotic_core_is_calcium_and_a_bright_core_is_no_necrosis():
    classes = [*LIVER_TUMOR, "necrosis", "calcification"]
    assert set(np.unique(drawn(classes)[1])) == {1, 2, 3, 4}
    assert set(np.unique(drawn(classes, calcium_hu=0.0)[1])) == {1, 2, 3}
    assert set(np.unique(drawn(classes, core_hu=30.0)[1])) == {1, 2, 4}


def test_samples_hold_the_parts_that_a_recipe_trains(pairs, tiny):
    def values(*further):
        changes = {"synthetic__probability": 1, "synthetic__distractor_probability": 0, "sampling__tumor_fraction": 0}
        config = tiny(data__labels=[*LIVER_TUMOR, *further], preparation__spacing_mm=[2, 2, 2], **changes)
        sampler = PatchSampler([prepare(case, config) for case in find_cases(pairs, config.data)], config)
        return {int(value) for step in range(20) for value in np.unique(sampler.patch(step, 0)[1])} - {255}

    assert values() == {0, 1, 2}
    assert values("necrosis") == {0, 1, 2, 3}


@pytest.fixture
def abdomen(make, tmp_path):
    """An nnU-Net set in which 1 is liver, 2 cancer in it, 3 spleen."""
    root = make["organs"](tmp_path / "data", 3)
    content = json.loads((root / "dataset.json").read_text())
    content["labels"] = {"background": 0, "liver": 1, "cancer": 2, "spleen": 3}
    (root / "dataset.json").write_text(json.dumps(content))
    for path in (root / "labelsTr").glob("*.nii.gz"):
        label = sitk.ReadImage(str(path))
        values = np.choose(sitk.GetArrayFromImage(label), [0, 2, 1, 3, 0, 0]).astype(np.uint8)
        sitk.WriteImage(make["image"](values), str(path))
    return root


def localiser(tiny, **changes):
    return tiny(**{"task": "localiser", "data__labels": ["liver", "spleen"], "run__overlays": False, **changes})


def first_prepared(root, config):
    """Return the first case of a set as a recipe prepares it."""
    own = in_agreement(config, root)
    return prepare(find_cases(root, own.data)[0], own)


@pytest.mark.parametrize("labels", [["liver", "spleen"], ["liver", "tumor", "spleen"]])
def test_a_second_organ_of_a_localiser_is_itself_and_tumours_are_liver(abdomen, tiny, labels):
    spacing = {"preparation__spacing_mm": [4, 4, 3]}
    truth = first_prepared(abdomen, tiny(data__labels=[*LIVER_TUMOR, "spleen"], **spacing)).label
    prepared = first_prepared(abdomen, localiser(tiny, data__labels=labels, **spacing))
    assert ((prepared.label == 1) == ((truth == 1) | (truth == 2))).all()
    assert ((prepared.label == labels.index("spleen") + 1) == (truth == 3)).all()
    assert not prepared.lesion_centres
    assert (truth[tuple(prepared.organ_centres.T)] != 3).all()


def test_the_box_of_a_localiser_is_that_of_the_liver(abdomen, tiny):
    crop = {"preparation__crop": "liver", "preparation__crop_margin_mm": 0, "preparation__field_of_view": "crop"}
    fine = tiny(**crop, data__labels=[*LIVER_TUMOR, "spleen"])
    shapes = [first_prepared(abdomen, config).image.shape for config in (localiser(tiny, **crop), fine)]
    assert shapes[0] == shapes[1]


def test_samples_of_a_localiser_keep_its_second_organ(abdomen, tiny):
    shares = {"synthetic__probability": 1, "synthetic__distractor_probability": 0}
    still = {"augmentation__rotation_degrees": 0, "augmentation__scale": [1, 1], "augmentation__flip_axes": []}
    whole = {"sampling__patch_size": [24, 48, 56], "preparation__spacing_mm": [4, 4, 3], "network__stem": "full"}
    seen = set()
    for probability in (0, 1):
        config = localiser(tiny, **{**shares, "synthetic__probability": probability}, **still, **whole)
        sampler = PatchSampler([first_prepared(abdomen, config)], config)
        seen.add(np.stack([sampler.patch(step, 0)[1] == 2 for step in range(6)]).sum())
    assert len(seen) == 1
    assert seen.pop() > 0


def test_a_localiser_is_validated_on_each_organ(tiny):
    reference = np.zeros((4, 4, 4), np.uint8)
    reference[0], reference[1] = 1, 2
    prediction = np.where(reference == 2, 0, reference)
    image = np.zeros(reference.shape, np.int16)
    figures = case_figures(Segmented("a", image, reference, prediction, 0.1), localiser(tiny))
    assert figures == {"liver_dice": 1.0, "spleen_dice": 0.0}
    assert score({"a": figures}) == 0.5


def test_a_localiser_of_two_organs_trains_and_is_exported(abdomen, tiny, tmp_path):
    config = localiser(tiny, optimiser__steps=2, data__validation=["liver_000"])
    trainer = Trainer(config, abdomen, tmp_path / "run")
    trainer.train()
    export_model(tmp_path / "run", tmp_path / "model")
    bundle = load_bundle(tmp_path / "model")
    assert (bundle.task, bundle.labels) == ("localiser", ("liver", "spleen"))
    assert torch.isfinite(bundle.weights["head.bias"]).all()
    assert sorted(bundle.training["validation"]["liver_000"]) == ["liver_dice", "spleen_dice"]


def test_a_localiser_whose_first_organ_is_another_is_refused(tiny):
    with pytest.raises(UsageError, match=r"task localiser needs data\.labels to begin with liver, not spleen"):
        tiny(task="localiser", data__labels=["spleen", "liver"])
