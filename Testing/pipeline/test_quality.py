"""What a run may cost."""

import pytest
from LiverTumorSegLib.pipeline.quality import QUALITIES


def test_each_quality_costs_more_than_the_one_before():
    looks = [q.flips / q.coarsening**3 for q in QUALITIES.values()]
    assert looks == sorted(set(looks))


def test_quick_sees_a_coarser_grid_and_standard_that_of_the_training():
    assert QUALITIES["quick"].spacing_mm((1.5, 1.5, 3.0)) == pytest.approx((2.0, 2.0, 4.0))
    assert QUALITIES["standard"].spacing_mm((1.5, 1.5, 3.0)) == (1.5, 1.5, 3.0)
