"""The localiser looks at the patient, not at the table and the air around."""

import numpy as np
from LiverTumorSegLib.localise import body_box


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
