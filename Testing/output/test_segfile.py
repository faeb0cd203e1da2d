"""Segmentation files: exact grids, atomic writing, and what the real Slicer libraries make of them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.grid import affine_of, corner_distance_mm
from LiverTumorSegLib.labels import LIVER, LIVER_TUMOR, TUMOR, label_table
from LiverTumorSegLib.output.segfile import onto_grid, read_segmentation, write_segmentation
from LiverTumorSegLib.scan.volumefile import read_volume
from scipy.spatial.transform import Rotation


def labelmap(size=(20, 16, 12), spacing=(0.7, 0.8, 2.5), origin=(-101.7, 33.3, 1004.1), direction=None):
    """Return liver with a tumour in it, on an oblique grid."""
    array = np.zeros(size[::-1], np.uint8)
    array[2:9, 3:12, 4:15] = LIVER.value
    array[4:6, 5:8, 6:9] = TUMOR.value
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction is None:
        direction = Rotation.from_euler("xyz", [12, -7, 3], degrees=True).as_matrix()
    image.SetDirection(np.ravel(direction).tolist())
    return image


def same(image, expected):
    assert image.GetSize() == expected.GetSize()
    assert corner_distance_mm(affine_of(image), affine_of(expected), expected.GetSize()) < 1e-4
    assert np.array_equal(sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(expected))


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".nrrd", ".nii.gz", ".nii", ".mha"])
def test_round_trip(tmp_path, suffix):
    image = labelmap()
    path = tmp_path / f"a{suffix}"
    write_segmentation(path, image, LIVER_TUMOR, {"LiverTumorSeg_model": "liver-tumor 1"})
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    back, names = read_segmentation(path)
    same(back, image)
    assert names == ({"liver": 1, "tumor": 2} if suffix == ".seg.nrrd" else {})
    # What was written is also an image as any other.
    same(read_volume(path)[0], image)


def test_header_of_the_slicer_format(tmp_path):
    write_segmentation(tmp_path / "a.seg.nrrd", labelmap(), LIVER_TUMOR, {"Model": "name\n1.0:=x", "Sum": "abc"})
    image = sitk.ReadImage(str(tmp_path / "a.seg.nrrd"))
    assert image.GetMetaData("Segment1_Name") == "tumor"
    assert image.GetMetaData("Segment1_LabelValue") == "2"
    assert "SCT^49755003^Morphologically Altered Structure~SCT^108369006^Neoplasm" in image.GetMetaData(
        "Segment1_Tags"
    )
    assert image.GetMetaData("Segment0_Extent") == "0 19 0 15 0 11"
    assert image.GetMetaData("Segmentation_ContainedRepresentationNames") == "Binary labelmap|"
    assert image.GetMetaData("Model") == "name 1.0:=x"
    assert image.GetMetaData("Sum") == "abc"


def test_metadata_of_the_input_does_not_leak_into_the_result(tmp_path):
    image = labelmap()
    image.SetMetaData("0010|0010", "Nobody^Here")
    write_segmentation(tmp_path / "a.seg.nrrd", image, LIVER_TUMOR)
    assert b"Nobody" not in (tmp_path / "a.seg.nrrd").read_bytes()
    assert image.HasMetaDataKey("0010|0010")


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.nii.gz"
    write_segmentation(path, labelmap(), LIVER_TUMOR)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"cannot be written \(No such file"):
        write_segmentation(tmp_path / "no" / "a.nii.gz", labelmap(), LIVER_TUMOR)
    with pytest.raises(UsageError, match="has no suffix of a segmentation file"):
        write_segmentation(tmp_path / "a.png", labelmap(), LIVER_TUMOR)
    (tmp_path / "taken.nrrd").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write_segmentation(tmp_path / "taken.nrrd", labelmap(), LIVER_TUMOR)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nii.gz", "taken.nrrd"]


@st.composite
def grids(draw):
    """Any rotation, flips and order of the axes; any spacing and place of a scan."""
    angles = [draw(st.floats(-180, 180)) for _ in range(3)]
    signs = [draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)]
    order = draw(st.permutations([0, 1, 2]))
    return {
        "direction": Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[:, order] * signs,
        "spacing": tuple(draw(st.floats(0.2, 10)) for _ in range(3)),
        "origin": tuple(draw(st.floats(-500, 500)) for _ in range(3)),
    }


@settings(max_examples=30, deadline=None)
@given(grids(), st.sampled_from([".seg.nrrd", ".nii.gz"]))
def test_any_grid_comes_back_exactly(tmp_path_factory, grid, suffix):
    image = labelmap(**grid)
    path = tmp_path_factory.mktemp("grid") / f"a{suffix}"
    write_segmentation(path, image, LIVER_TUMOR)
    same(read_segmentation(path)[0], image)
    # The same place in the patient, not only the same numbers.
    assert np.allclose(affine_of(sitk.ReadImage(str(path))), affine_of(image), atol=1e-4)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_layers_shared_values_and_overlap(tmp_path, order):
    """Two layers, both with label value 1, overlapping, as Slicer writes them; the smaller segment shows."""
    one, two = (np.zeros((12, 16, 20), np.uint8) for _ in range(2))
    one[2:9, 3:12, 4:15] = 1
    two[4:6, 5:14, 6:9] = 1
    image = sitk.Compose([sitk.GetImageFromArray(one), sitk.GetImageFromArray(two)])
    image.SetOrigin((5, 6, 7))
    segments = [("Leber", 0), ("Metastase 1", 1)]
    for number, (name, layer) in enumerate(segments[place] for place in order):
        for key, value in {"ID": f"S{number}", "Name": name, "LabelValue": 1, "Layer": layer}.items():
            image.SetMetaData(f"Segment{number}_{key}", str(value))
    sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    merged, names = read_segmentation(tmp_path / "a.seg.nrrd")
    liver, metastasis = (order.index(place) + 1 for place in (0, 1))
    assert names == {"Leber": liver, "Metastase 1": metastasis}
    expected = np.where(two == 1, metastasis, one * liver)
    assert np.array_equal(sitk.GetArrayViewFromImage(merged), expected)
    assert merged.GetOrigin() == (5, 6, 7)


def test_a_smaller_grid_goes_back_onto_the_image(tmp_path):
    image = labelmap()
    cropped = image[3:16, 2:13, 1:10]
    write_segmentation(tmp_path / "a.seg.nrrd", cropped, LIVER_TUMOR)
    same(onto_grid(read_segmentation(tmp_path / "a.seg.nrrd")[0], image), image)


@pytest.mark.parametrize("values", [(1.7, 2.0), (-1.0, 2.0), (70000.0, 1.0)])
def test_values_that_are_no_labels(tmp_path, values):
    array = np.zeros((8, 8, 8), np.float32)
    array[2:4], array[4:6] = values
    for name in ("case7.nii.gz", "case7.nrrd"):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / name))
        with pytest.raises(InputError, match=rf"{name}: label values must be whole numbers .* holds {values[0]:g}\."):
            read_segmentation(tmp_path / name)


def test_whole_numbers_in_any_type_are_labels(tmp_path):
    array = np.zeros((8, 8, 8), np.float64)
    array[2:4], array[4:6] = 1, 300
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "a.nii.gz"))
    image, names = read_segmentation(tmp_path / "a.nii.gz")
    assert (image.GetPixelID(), names) == (sitk.sitkUInt16, {})
    assert set(np.unique(sitk.GetArrayViewFromImage(image))) == {0, 1, 300}


def test_broken_segmentations(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_segmentation(tmp_path / "a.seg.nrrd")
    image = labelmap()
    image.SetMetaData("Segment0_Name", "liver")
    sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    with pytest.raises(InputError, match="describes its segments incompletely"):
        read_segmentation(tmp_path / "a.seg.nrrd")
    image.SetMetaData("Segment0_LabelValue", "1")
    image.SetMetaData("Segment0_Layer", "3")
    sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    with pytest.raises(InputError, match="names layers that the file does not hold"):
        read_segmentation(tmp_path / "a.seg.nrrd")
    sitk.WriteImage(sitk.JoinSeries([image, image]), str(tmp_path / "b.nrrd"))
    with pytest.raises(InputError, match=r"has 4 dimensions \(20 x 16 x 12 x 2\)"):
        read_segmentation(tmp_path / "b.nrrd")


SLICER = """
import json, sys
import slicer, vtk
scene = slicer.vtkMRMLScene()
node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
storage.SetFileName(sys.argv[1])
assert storage.ReadData(node)
segmentation = node.GetSegmentation()
seen = {"geometry": segmentation.GetConversionParameter("Reference image geometry"), "segments": []}
for n in range(segmentation.GetNumberOfSegments()):
    segment = segmentation.GetNthSegment(n)
    terms = vtk.reference("")
    segment.GetTag("TerminologyEntry", terms)
    seen["segments"].append([segmentation.GetNthSegmentID(n), segment.GetName(), segment.GetColor(), str(terms)])
grid = slicer.vtkOrientedImageData()
node.GetBinaryLabelmapRepresentation(segmentation.GetNthSegmentID(1), grid)
matrix = vtk.vtkMatrix4x4()
grid.GetImageToWorldMatrix(matrix)
seen["matrix"] = [matrix.GetElement(r, c) for r in range(4) for c in range(4)]
if len(sys.argv) > 3:
    # A reader moves "tumor" to a layer of its own, overlapping the liver.
    segmentation.SeparateSegmentLabelmap(segmentation.GetNthSegmentID(1))
storage.SetCropToMinimumExtent(True)
storage.SetFileName(sys.argv[2])
assert storage.WriteData(node)
print(json.dumps(seen))
"""


@pytest.mark.parametrize("layered", [False, True])
def test_the_real_slicer_keeps_names_colours_terms_and_place(tmp_path, layered):
    pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
    image = labelmap()
    write_segmentation(tmp_path / "a.seg.nrrd", image, LIVER_TUMOR, {"LiverTumorSeg_model": "liver-tumor 1"})
    # A process of its own: VTK and ITK of the wheel stay out of this one.
    run = subprocess.run(
        [sys.executable, "-c", SLICER, tmp_path / "a.seg.nrrd", tmp_path / "b.seg.nrrd", *(["layered"] * layered)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        timeout=120,
    )
    seen = json.loads(run.stdout.strip().splitlines()[-1])
    for (identifier, name, color, terms), label in zip(seen["segments"], LIVER_TUMOR, strict=True):
        assert (identifier, name) == (label.name, label.name)
        assert np.allclose(color, label.color, atol=1e-6)
        assert (
            f"SCT^{label.category.value}^{label.category.meaning}~SCT^{label.type.value}^{label.type.meaning}" in terms
        )
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_of(image)
    assert np.allclose(np.reshape([float(v) for v in seen["geometry"].split(";")[:16]], (4, 4)), ras, atol=1e-9)
    assert seen["geometry"].split(";")[16:22] == ["0", "19", "0", "15", "0", "11"]
    assert np.allclose(np.reshape(seen["matrix"], (4, 4)), ras, atol=1e-9)
    # What Slicer saved, cropped to its contents, and perhaps in two layers, is the same segmentation.
    back, names = read_segmentation(tmp_path / "b.seg.nrrd")
    assert names == {"liver": 1, "tumor": 2}
    assert back.GetSize() != image.GetSize()
    same(onto_grid(back, image), image)


def test_labels_of_any_table_are_written(tmp_path):
    table = label_table(["necrosis", "tumor"])
    write_segmentation(tmp_path / "a.seg.nrrd", labelmap(), table)
    assert read_segmentation(tmp_path / "a.seg.nrrd")[1] == {"necrosis": 1, "tumor": 2}
