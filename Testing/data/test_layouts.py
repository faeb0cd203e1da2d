"""Every layout is recognised and read; splits never part a patient."""

import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.dataset import find_cases, fold_patients, list_cases, split
from LiverTumorSegTraining.data.layouts import pairs
from LiverTumorSegTraining.data.preparation import prepare
from LiverTumorSegTraining.data.reading import read_channels, read_label
from LiverTumorSegTraining.recipe.config import DataConfig


@pytest.mark.parametrize("layout", ["pairs", "msd", "lits", "nnunet", "csv"])
def test_layouts_of_livers(layout, make, tmp_path, tiny):
    root = make[layout](tmp_path / layout)
    cases = find_cases(root, DataConfig())
    assert len(cases) == 3
    assert len({case.patient for case in cases}) == 3 or layout in ("pairs", "csv")
    prepared = prepare(cases[0], tiny())
    assert prepared.image.shape[1:] == prepared.label.shape
    assert set(range(3)) <= set(prepared.label.ravel().tolist())


def test_brats_folders_and_their_labels(make, tmp_path, tiny):
    config = tiny("brats_attention_3d")
    cases = find_cases(make["brats"](tmp_path / "brats"), config.data)
    assert [path.name[-12:] for path in cases[0].images] == ["flair.nii.gz", "00_t1.nii.gz", "_t1ce.nii.gz"]
    prepared = prepare(cases[0], config)
    assert prepared.image.shape[0] == 3
    assert set(prepared.label.ravel().tolist()) == {0, 1, 2, 3}


def test_a_missing_channel_is_a_sentence(make, tmp_path):
    root = make["brats"](tmp_path / "brats", leave_out="t1")
    data = DataConfig(channels=["FLAIR", "T1", "T1CE"])
    with pytest.raises(InputError, match=r"has no T1 image, only FLAIR, T1CE.*--data.channels '\[FLAIR, T1CE\]'"):
        find_cases(root, data)
    assert len(find_cases(root, DataConfig(channels=["FLAIR", "T1CE"]))[0].images) == 2


def test_channels_in_one_4d_file(make, tmp_path):
    images, _ = make["brain"](0)
    path = tmp_path / "case.nii.gz"
    sitk.WriteImage(sitk.JoinSeries(list(images.values())), str(path))
    case = Case("case", "case", (path,), None)
    assert len(read_channels(case, ["FLAIR", "T1", "T1CE"])) == 3
    with pytest.raises(InputError, match="shape 40 x 40 x 24 x 3"):
        read_channels(case, ["FLAIR", "T1"])


def test_corrections_from_slicer(make, tmp_path):
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegLib.output.segfile import write_segmentation

    image, label = make["scan"](0)
    sitk.WriteImage(image, str(tmp_path / "a_1.nrrd"))
    # Slicer writes only the part that the segments fill.
    part = label[6:40, 4:44, 2:22]
    write_segmentation(tmp_path / "a_1.seg.nrrd", part, LIVER_TUMOR)
    (case,) = find_cases(tmp_path, DataConfig())
    read = sitk.GetArrayFromImage(read_label(case, DataConfig(), image))
    assert (read == sitk.GetArrayFromImage(label)).all()
    with pytest.raises(InputError, match="the segments tumor of"):
        read_label(case, DataConfig(labels=["liver"]), image)


def test_no_or_unknown_data_set(tmp_path):
    with pytest.raises(InputError, match="There is no data set"):
        list_cases(tmp_path / "nothing", DataConfig())
    with pytest.raises(InputError, match="no layout that is understood"):
        list_cases(tmp_path, DataConfig())


def test_missing_labels_by_option(make, tmp_path):
    root = make["pairs"](tmp_path / "p")
    (root / "case0_portal_label.nii.gz").unlink()
    told = []
    assert len(find_cases(root, DataConfig(), told.append)) == 2
    assert "case0_portal" in told[0]
    with pytest.raises(InputError, match="case0_portal"):
        find_cases(root, DataConfig(missing_labels="refuse"))
    cases = find_cases(root, DataConfig(missing_labels="liver_only", incomplete=["case1_portal"]))
    assert [case.liver_only for case in cases] == [True, False]
    with pytest.raises(InputError, match="incomplete names cases"):
        find_cases(root, DataConfig(incomplete=["nobody"]))


def many(count):
    return [Case(f"p{n}_{k}", f"p{n}", (), None) for n in range(count) for k in range(1 + n % 3)]


def test_folds_are_stratified_and_keep_patients_together():
    cases = many(20)
    burden = {case.name: float(case.patient[1:]) for case in cases}
    folds = fold_patients(cases, 5, lambda case: burden[case.name])
    assert sorted(len(fold) for fold in folds) == [4] * 5
    assert set.union(*folds) == {case.patient for case in cases}
    means = [sum(float(patient[1:]) for patient in fold) / 4 for fold in folds]
    assert max(means) - min(means) <= 5
    data = DataConfig(folds=5, fold=2)
    training, validation = split(cases, data, lambda case: burden[case.name])
    assert {case.patient for case in validation} == folds[2]
    assert not {case.patient for case in training} & folds[2]


def test_named_and_fractional_splits():
    cases = many(10)
    assert {case.patient for case in split(cases, DataConfig(validation=["p3"]))[1]} == {"p3"}
    assert len({case.patient for case in split(cases, DataConfig(validation_fraction=0.3))[1]}) == 3
    with pytest.raises(InputError, match="does not hold: p77"):
        split(cases, DataConfig(validation=["p77"]))


def test_folds_of_the_data_set_itself(make, tmp_path):
    cases = find_cases(make["csv"](tmp_path / "c"), DataConfig())
    assert fold_patients(cases, 2) == [{"p0", "p2"}, {"p1"}]


def test_names_that_slicer_proposes_on_saving_pair(tmp_path):
    """A CT node and the panel's numbered results of it under the names of the nodes; the newest counts."""
    image = sitk.Image([4, 4, 4], sitk.sitkInt16)
    names = ("CT.nrrd", "CT liver 2.seg.nrrd", "CT liver 10.seg.nrrd", "2: Liver.nrrd", "2: Liver liver 1.seg.nrrd")
    for name in (*names, "own.nrrd", "own.seg.nrrd", "own liver 1.seg.nrrd", "lost liver 1.seg.nrrd"):
        sitk.WriteImage(image, str(tmp_path / name))
    found = {case.name: (case.images[0].name, case.label and case.label.name) for case in pairs.find(tmp_path, ["CT"])}
    assert found == {
        "CT": ("CT.nrrd", "CT liver 10.seg.nrrd"),
        "2: Liver": ("2: Liver.nrrd", "2: Liver liver 1.seg.nrrd"),
        "own": ("own.nrrd", "own.seg.nrrd"),
        "lost liver 1": ("lost liver 1.nii.gz", "lost liver 1.seg.nrrd"),
    }


def table(pairs, columns, *rows):
    """Write a CSV of the first cases; each row gives the cells of `columns`."""
    lines = [f"case,image,label,{columns}"]
    lines += [f"c{n},case{n}_portal.nii.gz,case{n}_portal_label.nii.gz,{row}" for n, row in enumerate(rows)]
    (pairs / "set.csv").write_text("\n".join([*lines, ",,,,"]) + "\n")
    return pairs / "set.csv"


def test_a_table_may_be_written_by_a_spreadsheet(make, tmp_path):
    pairs = make["pairs"](tmp_path / "p")
    cases = list_cases(table(pairs, "fold,liver_only", "1.0,1.0", "0.0,", ",No"), DataConfig())
    assert [case.fold for case in cases] == [1, 0, None]
    assert [case.liver_only for case in cases] == [True, False, False]


@pytest.mark.parametrize(
    ("columns", "cell", "words"),
    [("liver_only", "ja", "line 3: liver_only is 'ja'; write 1 or yes"), ("liver_only", "2", "liver_only is '2'"),
     ("fold", "0.5", "line 3: fold is '0.5'; write a whole number"), ("fold", "first", "fold is 'first'"),
     ("fold", "-1", "fold is '-1'"), ("fold", "nan", "fold is 'nan'")],
)  # fmt: skip
def test_a_cell_that_says_something_else_is_refused(columns, cell, words, make, tmp_path):
    with pytest.raises(InputError, match=words):
        list_cases(table(make["pairs"](tmp_path / "p"), columns, "", cell), DataConfig())


def test_a_row_without_an_image_is_refused(make, tmp_path):
    path = make["pairs"](tmp_path / "p") / "set.csv"
    path.write_text("case,image,label\na,case0_portal.nii.gz,case0_portal_label.nii.gz\nb\n")
    with pytest.raises(InputError, match="line 3: image is empty"):
        list_cases(path, DataConfig())


def test_cases_and_patients_are_left_out_by_name(make, tmp_path):
    cases = make["csv"](tmp_path / "c")
    assert [case.name for case in find_cases(cases, DataConfig(exclude=["scan0", "p2"]))] == ["scan1"]
    with pytest.raises(InputError, match=r"data\.exclude names cases or patients .* not hold: scan9"):
        find_cases(cases, DataConfig(exclude=["scan0", "scan9"]))
