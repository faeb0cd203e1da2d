"""A liver without contrast is warned of; one in the portal-venous phase is not."""

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.pipeline.enhancement import doubt_enhancement


@pytest.mark.parametrize(("hu", "warned"), [(55, True), (79, True), (81, False), (110, False)])
def test_a_weakly_enhanced_liver_is_named_with_its_density(hu, warned):
    values = np.full((30, 30, 30), -1000, np.int16)
    values[5:20, 6:22, 7:25] = hu
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[:15, :16, :18] = 1
    labels[3:6, 3:6, 3:6] = 2
    findings = doubt_enhancement(labels, np.array([7, 6, 5]), sitk.GetImageFromArray(values))
    assert len(findings) == warned
    for finding in findings:
        assert f"{hu} HU" in finding.message
        assert finding.grade == "warning"


def test_a_handful_of_voxels_says_nothing():
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[4, 4, 4] = 1
    assert doubt_enhancement(labels, np.zeros(3, int), sitk.GetImageFromArray(np.zeros((9, 9, 9), np.int16))) == []
