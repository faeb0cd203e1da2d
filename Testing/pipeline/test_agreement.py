"""Localiser and fine network: what one of them drops is kept or told, outlines that differ by a voxel are not."""

import numpy as np
import pytest
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.pipeline.agreement import join
from LiverTumorSegLib.pipeline.localise import Location

GRID = Grid((70, 60, 50), (3.0, 3.0, 3.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
PART = Grid((120, 100, 90), (1.6, 1.6, 1.6), (6.0, 6.0, 6.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def ball(grid, centre_mm, radius_mm):
    z, y, x = np.meshgrid(
        *[np.arange(n) * s for n, s in zip(grid.size[::-1], grid.spacing_mm, strict=True)], indexing="ij"
    )
    x, y, z = x + grid.origin_mm[0], y + grid.origin_mm[1], z + grid.origin_mm[2]
    return (x - centre_mm[0]) ** 2 + (y - centre_mm[1]) ** 2 + (z - centre_mm[2]) ** 2 < radius_mm**2


def location(organ, probability=250, cut=False):
    return Location(
        GRID, np.ones(organ.shape, np.uint8), 1000.0, organ.astype(np.uint8) * np.uint8(probability), cut, 100.0
    )


RIGHT, LEFT = ((75, 90, 75), 55), ((150, 90, 75), 32)


def joined(fine, coarse, tumor=None, **options):
    mean = np.zeros((2, *PART.size[::-1]), np.uint8)
    mean[0][fine] = 240
    if tumor is not None:
        mean[0][tumor], mean[1][tumor] = 5, 240
    findings = join(mean, location(coarse, **options), PART)
    return mean, [finding.code for finding in findings], [finding.message for finding in findings]


def test_a_dropped_lobe_is_kept_and_told():
    both = ball(GRID, *RIGHT) | ball(GRID, *LEFT)
    mean, codes, messages = joined(ball(PART, *RIGHT), both)
    lobe = ball(PART, (152, 90, 75), 26)
    assert (mean[0][lobe] >= 128).mean() > 0.95
    assert codes == ["part_kept"]
    assert "ml of the organ come from the coarse localiser alone" in messages[0]
    assert (mean.astype(int).sum(0) <= 255).all()


def test_what_the_localiser_is_unsure_of_is_only_told():
    both = ball(GRID, *RIGHT) | ball(GRID, *LEFT)
    mean, codes, messages = joined(ball(PART, *RIGHT), both, probability=190)
    assert (mean[0][ball(PART, (152, 90, 75), 20)] < 128).all()
    assert codes == ["stages_disagree"]
    assert "% of the organ" in messages[0]


def test_a_cut_liver_is_the_fine_networks_alone():
    both = ball(GRID, *RIGHT) | ball(GRID, *LEFT)
    mean, codes, _ = joined(ball(PART, *RIGHT), both, cut=True)
    assert not codes
    assert not mean[0][ball(PART, (152, 90, 75), 20)].any()


@pytest.mark.parametrize("shift", [0.0, 4.0])
def test_outlines_that_differ_a_little_are_no_disagreement(shift):
    fine = ball(PART, (75 + shift, 90, 75), 55)
    _, codes, _ = joined(fine, ball(GRID, *RIGHT))
    assert codes == []


def test_a_large_tumour_in_the_dropped_part_stays_tumour():
    both = ball(GRID, *RIGHT) | ball(GRID, *LEFT)
    tumor = ball(PART, *LEFT)
    mean, codes, _ = joined(ball(PART, *RIGHT), both, tumor=tumor)
    assert codes == []
    assert (mean[1][tumor] == 240).all()
    assert (mean[0][tumor] <= 15).all()


def test_an_organ_that_the_fine_network_does_not_confirm_is_not_made_of_the_localisers():
    _, codes, _ = joined(ball(PART, (40, 90, 75), 25), ball(GRID, *RIGHT) | ball(GRID, *LEFT))
    assert "part_kept" not in codes
    assert "stages_disagree" in codes
