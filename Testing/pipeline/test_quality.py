"""What a run may cost."""

import pytest
from LiverTumorSegLib.pipeline.quality import QUALITIES, flip_sets


def test_each_quality_costs_more_than_the_one_before():
    looks = [q.flips / q.coarsening**3 for q in QUALITIES.values()]
    assert looks == sorted(set(looks))


def test_a_model_is_flipped_along_the_axes_it_allows():
    assert [len(q.looks()) for q in QUALITIES.values()] == [1, 1, 4]
    assert QUALITIES["best"].looks() == ((), (0,), (1,), (2,))
    assert QUALITIES["best"].looks((1, 2)) == ((), (1,), (2,), (1, 2))
    assert QUALITIES["best"].looks(()) == ((),)
    assert len(set(flip_sets())) == 8


def test_quick_sees_a_coarser_grid_and_standard_that_of_the_training():
    assert QUALITIES["quick"].spacing_mm((1.5, 1.5, 3.0)) == pytest.approx((2.0, 2.0, 4.0))
    assert QUALITIES["standard"].spacing_mm((1.5, 1.5, 3.0)) == (1.5, 1.5, 3.0)
