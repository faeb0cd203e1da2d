"""The localiser looks at the patient, not at the table and the air around."""

import numpy as np
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.pipeline.localise import body_box, joined_liver, judge


def scan():
    values = np.full((30, 60, 70), -1000, np.int16)
    values[:, 10:40, 15:55] = 40
    values[5:25, 15:35, 20:30] = -800  # a lung
    return values


def test_the_table_and_the_air_are_left_out():
    values = scan()
    values[:, 50:52, 5:65] = 200
    z, y, x = body_box(values)
    assert (z.start, min(z.stop, 30)) == (0, 30)
    assert (y.start, y.stop) == (8, 42)
    assert (x.start, x.stop) == (13, 57)


def test_a_scan_filled_by_the_body_stays_whole():
    values = np.full((20, 20, 20), 40, np.int16)
    assert values[body_box(values)].shape == values.shape


def test_without_a_body_nothing_is_left_out():
    values = np.full((9, 8, 7), -1000, np.int16)
    assert values[body_box(values)].shape == values.shape


def test_the_localiser_has_its_say_in_the_liver_but_not_in_the_tumor():
    liver, tumor = np.array([100, 200, 0, 0], np.uint8), np.array([0, 55, 250, 0], np.uint8)
    joined = joined_liver(liver, tumor, np.array([255, 0, 255, 0], np.uint8))
    assert joined.tolist() == [154, 111, 2, 0]
    agreed = joined_liver(liver, tumor, liver + tumor)
    assert np.array_equal(agreed, liver)


def test_a_cut_liver_is_known_to_be_cut():
    probability = np.zeros((40, 60, 60), np.uint8)
    probability[10:30, 15:45, 15:45] = 255
    grid = Grid((60, 60, 40), (3.0, 3.0, 3.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    values = np.full(probability.shape, -50, np.int16)
    values[probability > 0] = 120
    whole, _ = judge(probability, values, grid)
    assert not whole.cut
    assert whole.liver_hu == 120
    probability[:30, 15:45, 15:45] = 255
    cut, findings = judge(probability, values, grid)
    assert cut.cut
    assert "liver_cut" in [finding.code for finding in findings]
    assert (cut.probability[cut.reach == 0] == 0).all()
