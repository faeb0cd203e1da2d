"""Findings about a result that is unlikely in itself."""

import numpy as np
from LiverTumorSegLib.pipeline.tumor_plausibility import doubt_tumor

SPACING = (3.0, 2.0, 2.0)


def labels(*balls):
    z, y, x = np.meshgrid(np.arange(60) * 3.0, np.arange(100) * 2.0, np.arange(120) * 2.0, indexing="ij")
    array = np.zeros(z.shape, np.uint8)
    for value, centre, radius in balls:
        array[(z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < radius**2] = value
    return array


LIVER = (1, (90, 100, 80), 60)


def test_a_usual_result_has_no_findings():
    assert doubt_tumor(labels(LIVER, (2, (90, 100, 80), 25)), SPACING) == []
    assert doubt_tumor(labels(LIVER, (2, (90, 100, 136), 18)), SPACING) == [], "a subcapsular lesion is usual"
    assert doubt_tumor(np.zeros((4, 4, 4), np.uint8), SPACING) == []


def test_a_mass_beside_the_liver_is_told():
    (finding,) = doubt_tumor(
        labels(
            (2, (90, 100, 165), 35),
            LIVER,
        ),
        SPACING,
    )
    assert finding.code == "lesion_beside"
    volume = 4 / 3 * np.pi * 3.5**3
    told = float(finding.message.split(" ml")[0].rsplit(" ", 1)[1])
    assert 0.8 * volume < told < 1.05 * volume
    small = doubt_tumor(labels((2, (90, 100, 150), 14), LIVER), SPACING)
    assert small == []


def test_an_organ_of_tumour_is_told():
    codes = [finding.code for finding in doubt_tumor(labels(LIVER, (2, (90, 100, 80), 52)), SPACING)]
    assert codes == ["mostly_tumor"]


def test_two_masses_are_one_finding():
    (finding,) = doubt_tumor(labels((2, (90, 100, 165), 30), (2, (90, 22, 80), 28), LIVER), SPACING)
    assert "lesions of" in finding.message
    assert " hardly touch " in finding.message
