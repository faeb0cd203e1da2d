"""Prepared cases: what inference would see, kept once, read by all."""

import dataclasses
import multiprocessing
import shutil
import time

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.grid import Grid, canonical_grid
from LiverTumorSegLib.labels import LIVER, TUMOR
from LiverTumorSegLib.model.bundle import load_bundle, save_bundle
from LiverTumorSegLib.model.normalisation import normalise
from LiverTumorSegLib.pipeline.preprocess import resample

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.preparation import ANY_FOREGROUND, cache_of, intensity_of, prepare
from LiverTumorSegTraining.data.preparation_cache import Arrays, PreparationCache
from LiverTumorSegTraining.samples.sampling import PatchSampler
from LiverTumorSegTraining.training.model import bundle_of, network_of


def first_case(pairs, config):
    return find_cases(pairs, config.data)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"preparation__normalisation": "zscore"},
        {"preparation__normalisation": "zscore", "preparation__mean": 40.0, "preparation__sd": 70.0},
        {"preparation__denoise": "median"},
        {"preparation__liver_hu": 100.0, "preparation__field_of_view": "liver_box"},
        {
            "preparation__window_hu": None,
            "preparation__clip_percentiles": [1, 99],
            "preparation__normalisation": "zscore",
            "synthetic__probability": 0,
            "synthetic__distractor_probability": 0,
        },
    ],
)
def test_prepared_values_are_those_of_inference(pairs, tiny, changes):
    config = tiny(**changes)
    case = first_case(pairs, config)
    prepared = prepare(case, config)
    image = sitk.ReadImage(str(case.images[0]))
    grid = canonical_grid(Grid.of(image), config.preparation.spacing_mm)
    values = sitk.GetArrayFromImage(resample(image, grid))
    organ = np.isin(prepared.label, (LIVER.value, TUMOR.value))
    as_inferred = normalise(values, intensity_of(config).at(float(np.median(values[organ]))))
    as_trained = normalise(prepared.image[0], prepared.intensities(config)[0])
    # The median of whole numbers is rounded once more in between.
    np.testing.assert_allclose(as_trained, as_inferred, atol=2e-3)


def test_orientation_is_made_canonical(make, tiny, tmp_path):
    # At the scan's own spacing, where no voxel lies half-way between two.
    config = tiny(preparation__spacing_mm=[4, 4, 3])
    image, label = make["scan"](3)
    prepared = []
    for name, turn in (("a", False), ("b", True)):
        for suffix, volume in (("", image), ("_label", label)):
            turned = sitk.Flip(sitk.PermuteAxes(volume, [2, 0, 1]), [True, False, True]) if turn else volume
            sitk.WriteImage(turned, str(tmp_path / f"{name}{suffix}.nrrd"))
        case = Case(name, name, (tmp_path / f"{name}.nrrd",), tmp_path / f"{name}_label.nrrd")
        prepared.append(prepare(case, config))
    assert (prepared[0].label == prepared[1].label).all()
    assert (prepared[0].image == prepared[1].image).all()


def test_resize_and_crop(pairs, tiny):
    config = tiny("unet_3d_128")
    prepared = prepare(first_case(pairs, config), config)
    assert prepared.label.shape == (32, 32, 32)
    cropped = prepare(first_case(pairs, config), tiny("unet_3d_128", preparation__crop="liver"))
    assert (cropped.label == 1).mean() > 2 * (prepared.label == 1).mean()


def test_wrong_labels_and_grids_are_refused(make, tiny, tmp_path):
    image, label = make["scan"](0)
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    sitk.WriteImage(label + 5 * sitk.Cast(label == 2, sitk.sitkUInt8), str(tmp_path / "b.nrrd"))
    with pytest.raises(InputError, match=r"label values \[7\] have no name"):
        prepare(Case("a", "a", (tmp_path / "a.nrrd",), tmp_path / "b.nrrd"), tiny())
    label.SetOrigin((0, 0, 0))
    sitk.WriteImage(label, str(tmp_path / "b.nrrd"))
    with pytest.raises(InputError, match="same grid"):
        prepare(Case("a", "a", (tmp_path / "a.nrrd",), tmp_path / "b.nrrd"), tiny())


def test_liver_only_cases_hold_any_foreground(pairs, tiny):
    config = tiny()
    case = first_case(pairs, config)
    labels = prepare(Case(case.name, case.patient, case.images, case.label, True), config).label
    assert set(np.unique(labels).tolist()) <= {0, ANY_FOREGROUND, 255}


def test_the_cache_keeps_what_was_prepared(pairs, tiny, tmp_path, monkeypatch):
    config = tiny()
    case, cache = first_case(pairs, config), cache_of(config, tmp_path / "run")
    assert cache.folder == tmp_path / "prepared"
    first = prepare(case, config, cache)
    direct = prepare(case, config)

    def never(*arguments):
        raise AssertionError("prepared a second time")

    monkeypatch.setattr("LiverTumorSegTraining.data.preparation._arrays", never)
    again = prepare(case, config, cache)
    for one in (first, again):
        assert isinstance(one.image, np.memmap)
        assert (one.image == direct.image).all()
        assert (one.label == direct.label).all()
        assert all((a == b).all() for a, b in zip(one.lesion_centres, direct.lesion_centres, strict=True))
        assert one.statistics == direct.statistics
    # Another option, another entry; what only scales values does not prepare anew.
    prepare(case, tiny(preparation__mean=1.0, preparation__sd=2.0, preparation__normalisation="zscore"), cache)
    with pytest.raises(AssertionError, match="second time"):
        prepare(case, tiny(preparation__spacing_mm=[5, 5, 5]), cache)


def _fill(folder):
    def make():
        time.sleep(0.2)
        return Arrays(np.arange(1000).reshape(1, 10, 10, 10), np.zeros((10, 10, 10), np.uint8), {"a": np.ones(3)})

    assert PreparationCache(folder).get("key", make).image.sum() == 499500


def test_two_runs_share_the_cache(tmp_path):
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=_fill, args=(tmp_path,)) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("name", ["image.npy", "label.npy", "small.npz"])
@pytest.mark.parametrize("left", [0, 3, 100])
def test_a_damaged_entry_is_made_again(name, left, tmp_path):
    _fill(tmp_path)
    damaged = tmp_path / "key" / name
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:left])
    _fill(tmp_path)
    assert damaged.stat().st_size == len(whole)


def test_a_case_without_liver_has_no_density(pairs, tiny, tmp_path):
    case = first_case(pairs, tiny())
    label = sitk.ReadImage(str(case.label))
    sitk.WriteImage(label * 0, str(tmp_path / "empty.nrrd"))
    config = tiny(preparation__liver_hu=100.0, preparation__field_of_view="liver_box")
    with pytest.raises(InputError, match=r"its label has no liver.*data\.exclude"):
        prepare(dataclasses.replace(case, label=tmp_path / "empty.nrrd"), config)


@pytest.mark.parametrize("slice_mm", [1.0, 3.0, 12.0])
def test_the_slices_of_preset_d_hold_the_whole_liver(slice_mm, make, tiny, tmp_path):
    image, label = make["scan"](0)
    for suffix, part in (("", image), ("_label", label)):
        part.SetSpacing((4.0, 4.0, slice_mm))
        sitk.WriteImage(part, str(tmp_path / f"a_1{suffix}.nii.gz"))
    config = tiny("subvolume_64")
    slices = config.sampling.patch_size[0]
    prepared = prepare(first_case(tmp_path, config), config)
    assert prepared.label.shape[0] == slices
    assert prepared.spacing_mm[:2] == config.preparation.spacing_mm[:2]
    drawn = np.flatnonzero((sitk.GetArrayFromImage(label) > 0).any(axis=(1, 2)))
    extent = (drawn[-1] - drawn[0] + 1) * slice_mm
    kept = np.isin(prepared.label, (LIVER.value, TUMOR.value)).any(axis=(1, 2)).sum() * prepared.spacing_mm[2]
    assert kept == pytest.approx(extent, abs=2 * max(slice_mm, prepared.spacing_mm[2]))
    # Every sample shows all of these slices, wherever its centre was drawn.
    still = {"rotation_degrees": 0, "scale": (1, 1), "flip_axes": []}
    config = config.model_copy(
        update={
            "augmentation": config.augmentation.model_copy(update=still),
            "synthetic": config.synthetic.model_copy(update={"probability": 0, "distractor_probability": 0}),
        }
    )
    sampler = PatchSampler([prepared], config)
    organ = np.flatnonzero((prepared.label == LIVER.value).any(axis=(1, 2)))
    for step in range(4):
        shown = np.flatnonzero((sampler.patch(step, 0)[1] == LIVER.value).any(axis=(1, 2)))
        assert set(organ) <= set(shown)


def test_each_channel_of_ct_and_mr_has_its_own_window(make, tiny, tmp_path):
    image, label = make["scan"](0)
    mr = sitk.Cast(sitk.RescaleIntensity(image, 0, 900), sitk.sitkFloat32)
    for name, part in (("CT", image), ("MR", mr), ("label", label)):
        sitk.WriteImage(part, str(tmp_path / f"a_1_{name}.nii.gz"))
    changes = {"data__channels": ["CT", "MR"], "preparation__channel_windows": {"CT": [-150, 250]}}
    config = tiny("subvolume_64_mr", **changes)
    prepared = prepare(first_case(tmp_path, config), config)
    ct, other = prepared.statistics
    assert (ct.low, ct.high) == (-150, 250)
    assert 0 <= other.low < other.high <= 900
    assert other.high > 250
    bundle = bundle_of(config, network_of(config).state_dict())
    save_bundle(bundle, tmp_path / "model")
    inferred = load_bundle(tmp_path / "model").channel_intensities
    assert [one.window_hu for one in inferred] == [(-150, 250), None]
    raw = prepared.image.astype(np.float32)
    for channel, (trained, own) in enumerate(zip(prepared.intensities(config), inferred, strict=True)):
        once = dataclasses.replace(own, denoise="none")  # the prepared values are denoised already
        assert np.abs(normalise(raw[channel], trained) - normalise(raw[channel], once)).max() < 1e-4
    with pytest.raises(UsageError, match="channel_windows names US"):
        tiny("subvolume_64_mr", preparation__channel_windows={"US": [0, 1]})


def with_other_organs(pairs, make, root):
    """Write the first case of a set with a speck of spleen and of bladder far from the liver."""
    root.mkdir()
    shutil.copy(pairs / "case0_portal.nii.gz", root)
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(pairs / "case0_portal_label.nii.gz")))
    array[0:2, 20:24, 44:48], array[22:24, 8:12, 30:34] = 3, 4
    sitk.WriteImage(make["image"](array), str(root / "case0_portal_label.nii.gz"))
    return root


@pytest.mark.parametrize(
    "data",
    [
        {"label_map": {3: 0, 4: 0}},
        {"label_map": {3: 255, 4: 255}},
        {"labels": ["liver", "tumor", "spleen", "bladder"]},
    ],
)
def test_the_crop_is_that_of_liver_and_tumour(data, pairs, make, tiny, tmp_path):
    """At inference the box is that of the localiser's liver: other organs in the file must not widen it."""
    root = with_other_organs(pairs, make, tmp_path / "organs")
    crop = {"preparation__crop": "liver", "preparation__crop_margin_mm": 0}
    plain, other = (tiny(**crop, **{f"data__{k}": v for k, v in more.items()}) for more in ({}, data))
    cropped = prepare(first_case(pairs, plain), plain)
    assert prepare(first_case(root, other), other).image.shape == cropped.image.shape
    everything = tiny("brats_attention_3d", **crop, data__layout="auto", data__channels=["CT"],
                      data__labels=["liver", "tumor", "spleen", "bladder"], data__label_map={},
                      preparation__spacing_mm=plain.preparation.spacing_mm)  # fmt: skip
    wide = prepare(first_case(root, everything), everything)
    assert wide.image.shape[1] > cropped.image.shape[1]
    assert set(np.unique(wide.label).tolist()) == {0, 1, 2, 3, 4}


def test_axes_a_little_off_right_angles_are_prepared(pairs, tiny, tmp_path):
    """ITK refuses such a NIfTI file; it is read with the nearest right angles, and so is the slice distance."""
    for name in ("case0_portal.nii.gz", "case0_portal_label.nii.gz"):
        stored = nibabel.load(pairs / name)
        affine = stored.affine.copy()
        affine[0, 1] += affine[1, 1] * 4e-4
        skewed = nibabel.Nifti1Image(np.asanyarray(stored.dataobj), affine)
        skewed.set_sform(affine, 1)
        skewed.header["qform_code"] = 0
        nibabel.save(skewed, tmp_path / name)
    with pytest.raises(RuntimeError):
        sitk.ReadImage(str(tmp_path / "case0_portal.nii.gz"))
    config = tiny()
    assert prepare(first_case(tmp_path, config), config).slice_mm == pytest.approx(3.0)


@pytest.mark.parametrize("suffix", [".hdr", ".nhdr", ".mhd"])
def test_voxels_beside_a_header_belong_to_the_entry(suffix, make, tiny, tmp_path):
    """Two scans with one header are two entries of the cache."""
    config, cache, images = tiny(), PreparationCache(tmp_path / "prepared"), []
    for number in (0, 1):
        image, label = make["scan"](number)
        sitk.WriteImage(image, str(tmp_path / f"case{suffix}"))
        sitk.WriteImage(label, str(tmp_path / f"case_label{suffix}"))
        images.append(prepare(first_case(tmp_path, config), config, cache).image)
    assert not np.array_equal(images[0], images[1])
