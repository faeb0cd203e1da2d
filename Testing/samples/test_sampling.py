"""Samples: as many as the quotas say, the same again from seed, step and place, in every shape."""

import dataclasses

import numpy as np
import pytest
import torch

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.preparation import prepare
from LiverTumorSegTraining.samples.monai_augmentation import MonaiAugmentation
from LiverTumorSegTraining.samples.sampling import PatchSampler


def sampler_of(root, config, mixed=()):
    return PatchSampler([prepare(case, config) for case in find_cases(root, config.data)], config, mixed)


def test_the_same_step_gives_the_same_batch(pairs, tiny):
    config = tiny()
    one, other = sampler_of(pairs, config), sampler_of(pairs, config)
    for step in (0, 5):
        first, second = one.batch(step), other.batch(step)
        assert torch.equal(first.image, second.image)
        assert torch.equal(first.label, second.label)
    assert not torch.equal(one.batch(0).image, one.batch(1).image)


def test_processes_share_one_batch(pairs, tiny):
    sampler = sampler_of(pairs, tiny(sampling__batch_size=4))
    whole = sampler.batch(3)
    parts = [sampler.batch(3, rank=rank, world=2).image for rank in range(2)]
    assert torch.equal(torch.stack([parts[0][0], parts[1][0], parts[0][1], parts[1][1]]), whole.image)
    assert not torch.equal(sampler.batch(3, part=1).image, whole.image)


def test_quotas(pairs, tiny):
    changes = {"augmentation__scale": [1, 1], "augmentation__rotation_degrees": 0, "synthetic__probability": 0}
    sampler = sampler_of(pairs, tiny(sampling__tumor_fraction=0.5, sampling__liver_fraction=0.3, **changes))
    kinds = [sampler._wanted_voxel(np.random.default_rng(n)) for n in range(400)]
    assert abs(np.mean([tumor for _, _, tumor in kinds]) - 0.5) < 0.08
    assert abs(np.mean([voxel is None for _, voxel, _ in kinds]) - 0.2) < 0.07
    for prepared, voxel, tumor in kinds:
        if tumor:
            assert prepared.label[tuple(voxel)] == 2


def test_patients_are_drawn_equally_and_old_data_mixed_in(pairs, tiny):
    config = tiny(data__mix_fraction=0.25)
    cases = [prepare(case, config) for case in find_cases(pairs, config.data)]
    # case0 has two scans: each is drawn half as often.
    twin = dataclasses.replace(cases[0])
    assert np.allclose(PatchSampler([*cases, twin], config).weights, [1 / 6, 1 / 3, 1 / 3, 1 / 6])
    assert np.allclose(PatchSampler(cases[:1], config, cases[1:]).weights, [0.75, 0.125, 0.125])


@pytest.mark.parametrize(
    ("preset", "layout", "shape"),
    [
        ("attention_unet_3d", "pairs", (2, 1, 32, 32, 32)),
        ("unet_3d_128", "pairs", (2, 1, 32, 32, 32)),
        ("lits_unet_2d", "lits", (2, 1, 64, 64)),
        ("subvolume_64", "pairs", (1, 1, 24, 48, 48)),
        ("brats_attention_3d", "brats", (2, 3, 32, 32, 32)),
    ],
)
def test_every_kind_of_sample(preset, layout, shape, make, tmp_path, tiny):
    config = tiny(preset)
    batch = sampler_of(make[layout](tmp_path / "data", 2), config).batch(0)
    assert tuple(batch.image.shape) == shape
    assert tuple(batch.label.shape) == (shape[0], *shape[2:])
    assert torch.isfinite(batch.image).all()
    assert batch.image.std() > 0.05
    assert len(torch.unique(batch.label)) > 1


def test_slices_stay_axial(pairs, tiny):
    config = tiny("lits_unet_2d", augmentation__flip_axes=[], synthetic__probability=0)
    sampler = sampler_of(pairs, config)
    for step in range(5):
        prepared, centre, _ = sampler._centre(np.random.default_rng(step))
        assert centre[0] == round(centre[0])
        assert centre[1] == (prepared.label.shape[1] - 1) / 2


def test_monai_transforms_repeat(tiny):
    names = ["bias_field", "gamma", "gibbs", "dropout", "histogram"]
    augment = MonaiAugmentation(tiny(augmentation__monai=names).augmentation, seed=1)
    images = torch.rand(8, 2, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    first = augment(images, 4, list(range(8)))
    assert torch.equal(first, augment(images, 4, list(range(8))))
    changed = [(a != b).any().item() for a, b in zip(images, first, strict=True)]
    assert any(changed)
    # A sample changes in the same way wherever its process is.
    assert torch.equal(augment(images[3:5], 4, [3, 4]), first[3:5])
    assert torch.isfinite(first).all()


def test_livers_of_any_density_look_alike(pairs, tiny):
    plain = {
        "augmentation__shift_hu": 0, "augmentation__contrast": [1.3, 1.3], "augmentation__noise_sd_hu": 0,
        "augmentation__blur_voxels": 0, "augmentation__thick_slice_probability": 0, "synthetic__probability": 0,
        "synthetic__distractor_probability": 0,
    }  # fmt: skip
    level = {"preparation__liver_hu": 100.0, "preparation__field_of_view": "liver_box"}
    config = tiny(sampling__tumor_fraction=0, sampling__liver_fraction=1, **level, **plain)
    cases = [prepare(case, config) for case in find_cases(pairs, config.data)]
    for prepared in cases:
        image, label, _ = PatchSampler([prepared], config).patch(1, 0)
        parenchyma = float(np.median(image[0][label == 1]))
        organ = np.isin(prepared.label, (1, 2))
        above = np.median(prepared.image[0][prepared.label == 1]) - np.median(prepared.image[0][organ])
        # The organ's median comes to 100 HU in a window of -150 to 250; contrast turns about it.
        assert abs(parenchyma - (250 + 1.3 * above) / 400) < 0.02
