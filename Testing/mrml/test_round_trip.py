"""A result on its way into the scene: geometry, transforms, terms, colours, and out again through a file."""

import numpy as np
import pytest
import SimpleITK as sitk
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")

from scene_state import addLinearTransform, addNonLinearTransform, addScan, sceneState

SEGMENTS = (("liver", 1), ("tumor", 2))
FIXTURE_ONCE = [HealthCheck.function_scoped_fixture]


def writeResult(scanFile, path, array=None, names=SEGMENTS):
    """Write a .seg.nrrd on the grid of an exported scan, as the command line does."""
    scan = sitk.ReadImage(str(scanFile))
    if array is None:
        array = np.zeros(scan.GetSize()[::-1], np.uint8)
        k, j, i = (length // 4 for length in array.shape)
        array[k : 3 * k, j : 3 * j, i : 3 * i] = 1
        array[k + 1 : 2 * k, j + 1 : 2 * j, i + 1 : 2 * i] = 2
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(scan)
    for number, (name, value) in enumerate(names):
        image.SetMetaData(f"Segment{number}_ID", name)
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(value))
        image.SetMetaData(f"Segment{number}_Layer", "0")
    sitk.WriteImage(image, str(path))
    return array


def importResult(volume, folder, array=None, attributes=None):
    """Export a scan, write a result for it, commit it; return the node and the label array."""
    from LiverTumorSegPanel.segmentationImport import commitSegmentation, readLabelmap, resultName
    from LiverTumorSegPanel.volumeExport import exportVolume, gridOf

    exportVolume(volume, folder / "scan.nrrd")
    array = writeResult(folder / "scan.nrrd", folder / "scan.seg.nrrd", array)
    labelmap = readLabelmap(folder / "scan.seg.nrrd", gridOf(volume))
    return commitSegmentation(volume, labelmap, resultName(volume), attributes or {}), array


def segmentArray(slicer, node, name, volume):
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, name, volume)


def tagOf(segment, name):
    value = vtk.reference("")
    assert segment.GetTag(name, value)
    return str(value)


def test_export_leaves_no_trace(slicer, tmp_path):
    from LiverTumorSegPanel.volumeExport import exportVolume

    volume = addScan()
    volume.SetAttribute("DICOM.PatientName", "Nobody^Here")
    volume.SetAndObserveTransformNodeID(addLinearTransform().GetID())
    before = sceneState()
    exportVolume(volume, tmp_path / "scan.nrrd")
    assert sceneState() == before
    assert b"Nobody" not in (tmp_path / "scan.nrrd").read_bytes()
    image = sitk.ReadImage(str(tmp_path / "scan.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(image), slicer.util.arrayFromVolume(volume))
    assert np.allclose(image.GetOrigin(), (-11, 22, 33))
    assert np.allclose(image.GetSpacing(), (0.8, 0.9, 2.5))


@st.composite
def grids(draw):
    """Axes of any turn and handedness, any spacing and origin."""
    quaternion = np.array([draw(st.floats(-1, 1)) for _ in range(4)])
    length = np.linalg.norm(quaternion)
    w, x, y, z = quaternion / length if length > 0.1 else (1.0, 0.0, 0.0, 0.0)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    flips = np.diag([draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)])
    spacing = [draw(st.floats(0.3, 10)) for _ in range(3)]
    origin = [draw(st.floats(-900, 900)) for _ in range(3)]
    return turn @ flips, spacing, origin


@settings(max_examples=25, deadline=None, suppress_health_check=FIXTURE_ONCE)
@given(grid=grids(), transformed=st.booleans())
def test_any_axes_survive_the_round_trip(slicer, tmp_path, grid, transformed):
    from LiverTumorSegPanel.segmentationImport import gridOfImage
    from LiverTumorSegPanel.volumeExport import exportVolume, gridOf

    slicer.mrmlScene.Clear(False)
    directions, spacing, origin = grid
    volume = addScan(shape=(8, 9, 10), spacing=spacing, origin=origin, directions=directions)
    if transformed:
        volume.SetAndObserveTransformNodeID(addLinearTransform().GetID())
    exportVolume(volume, tmp_path / "grid.nrrd")
    exported = gridOfImage(sitk.ReadImage(str(tmp_path / "grid.nrrd")))
    assert exported.size == gridOf(volume).size
    assert np.abs(np.array(exported.ijkToRas) - np.array(gridOf(volume).ijkToRas)).max() < 1e-4
    node, array = importResult(volume, tmp_path)
    for name, value in SEGMENTS:
        assert np.array_equal(segmentArray(slicer, node, name, volume), array == value)


def test_same_place_in_the_world_under_a_linear_transform(slicer, tmp_path):
    transform = addLinearTransform()
    volume = addScan()
    volume.SetAndObserveTransformNodeID(transform.GetID())
    node, array = importResult(volume, tmp_path)
    assert node.GetParentTransformNode() is transform
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    corners = np.argwhere(array > 0)[:, ::-1]
    ijkToRas = np.array([[_matrix(volume).GetElement(r, c) for c in range(4)] for r in range(4)])
    lower, upper = corners.min(0) - 0.5, corners.max(0) + 0.5
    world = []
    for choice in np.ndindex(2, 2, 2):
        corner = np.where(choice, upper, lower)
        point = [0.0, 0.0, 0.0]
        volume.TransformPointToWorld(list((ijkToRas @ [*corner, 1])[:3]), point)
        world.append(point)
    assert np.allclose(bounds[::2], np.min(world, axis=0), atol=1.0)
    assert np.allclose(bounds[1::2], np.max(world, axis=0), atol=1.0)


def _matrix(volume):
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


def test_non_linear_transform_is_shared_and_said(slicer, tmp_path):
    from LiverTumorSegPanel.inputCheck import checkVolumeNode
    from LiverTumorSegPanel.volumeExport import gridOf

    volume = addScan()
    volume.SetAndObserveTransformNodeID(addNonLinearTransform().GetID())
    (finding,) = checkVolumeNode(volume)
    assert finding.grade == "warning"
    assert "non-linear transform 'Bending'" in finding.message
    grid = gridOf(volume)
    node, array = importResult(volume, tmp_path)
    assert node.GetParentTransformNode() is volume.GetParentTransformNode()
    assert gridOf(volume) == grid
    internal = node.GetBinaryLabelmapInternalRepresentation("tumor")
    assert np.count_nonzero(
        slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "tumor") == 2
    ) == np.count_nonzero(array == 2)
    assert internal.GetSpacing() == pytest.approx(volume.GetSpacing())


def test_terms_colours_reference_and_surface(slicer, tmp_path):
    volume = addScan("Ťest 肝 CT")
    node, _array = importResult(volume, tmp_path, attributes={"LiverTumorSeg.Model": "liver-tumor 1"})
    assert node.GetName() == "Ťest 肝 CT liver 1"
    segmentation = node.GetSegmentation()
    assert segmentation.GetSegmentIDs() == ("liver", "tumor")
    tag = slicer.vtkSegment.GetTerminologyEntryTagName()
    entries = {}
    for name in ("liver", "tumor"):
        entry = slicer.vtkSlicerTerminologyEntry()
        text = tagOf(segmentation.GetSegment(name), tag)
        assert slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(text, entry)
        kind, region = entry.GetTypeObject(), entry.GetRegionObject()
        entries[name] = (entry.GetCategoryObject().GetCodeValue(), kind.GetCodeValue(), region.GetCodeValue())
    assert entries["liver"][:2] == ("123037004", "10200004")
    assert entries["tumor"] == ("49755003", "108369006", "10200004")
    assert segmentation.GetSegment("tumor").GetColor() == pytest.approx((0.90, 0.25, 0.20))
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReference(role) is volume
    geometry = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    assert segmentation.GetConversionParameter(geometry)
    assert segmentation.ContainsRepresentation("Closed surface")
    assert node.GetClosedSurfaceInternalRepresentation("tumor").GetNumberOfPoints() > 20
    assert node.GetDisplayNode().GetSegmentOpacity3D("liver") < 0.5
    assert node.GetAttribute("LiverTumorSeg.Model") == "liver-tumor 1"
    assert node.GetStorageNode() is None  # nothing of it was ever in a file of ours


def test_saved_and_loaded_again(slicer, tmp_path):
    volume = addScan()
    node, array = importResult(volume, tmp_path)
    assert slicer.util.saveNode(node, str(tmp_path / "saved.seg.nrrd"))
    again = slicer.util.loadSegmentation(str(tmp_path / "saved.seg.nrrd"))
    tag = slicer.vtkSegment.GetTerminologyEntryTagName()
    for name, value in SEGMENTS:
        first, second = (one.GetSegmentation().GetSegment(name) for one in (node, again))
        assert second.GetName() == name
        assert second.GetColor() == pytest.approx(first.GetColor(), abs=1e-5)
        assert tagOf(second, tag) == tagOf(first, tag) != ""
        assert np.array_equal(segmentArray(slicer, again, name, volume), array == value)


def test_empty_result_is_two_empty_segments(slicer, tmp_path):
    volume = addScan()
    node, array = importResult(volume, tmp_path, np.zeros((20, 24, 28), np.uint8))
    assert node.GetSegmentation().GetSegmentIDs() == ("liver", "tumor")
    assert not segmentArray(slicer, node, "liver", volume).any()
    assert not array.any()


def test_each_run_makes_a_new_node_and_edits_are_kept(slicer, tmp_path):
    volume = addScan()
    first, _array = importResult(volume, tmp_path)
    edited = segmentArray(slicer, first, "tumor", volume).copy()
    edited[15:18, 3:6, 3:6] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited, first, "tumor", volume)
    first.GetSegmentation().GetSegment("liver").SetName("my liver")
    second, _array = importResult(volume, tmp_path)
    assert second is not first
    assert second.GetName() == "CT liver 2"
    assert np.array_equal(segmentArray(slicer, first, "tumor", volume), edited)
    assert first.GetSegmentation().GetSegment("liver").GetName() == "my liver"


def test_segmentation_lies_in_the_study_of_the_ct(slicer, tmp_path):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    volume = addScan()
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    study = hierarchy.CreateStudyItem(patient, "Study")
    item = hierarchy.GetItemByDataNode(volume) or hierarchy.CreateItem(study, volume)
    hierarchy.SetItemParent(item, study)
    node, _array = importResult(volume, tmp_path)
    segmentationItem = hierarchy.GetItemByDataNode(node)
    if segmentationItem:  # without the desktop's plugins nodes may have no item of their own
        assert hierarchy.GetItemParent(segmentationItem) == study


def test_where_a_result_came_from_survives_saving_the_segmentation_alone(slicer, tmp_path):
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from LiverTumorSegPanel.segmentationImport import commitSegmentation, readLabelmap
    from LiverTumorSegPanel.volumeExport import exportVolume, gridOf

    volume = addScan()
    exportVolume(volume, tmp_path / "scan.nrrd")
    writeResult(tmp_path / "scan.nrrd", tmp_path / "result.seg.nrrd")
    model = {"id": "my model", "version": "1.2:3", "sha256": "ab" * 32}
    report = {"model": model, "threshold": 0.35, "quality": "best", "version": "0.1.0"}
    labelmap = readLabelmap(tmp_path / "result.seg.nrrd", gridOf(volume))
    node = commitSegmentation(volume, labelmap, "CT liver 1", attributesOfReport(report))
    assert slicer.util.saveNode(node, str(tmp_path / "saved.seg.nrrd"))
    slicer.mrmlScene.Clear(False)
    loaded = slicer.util.loadSegmentation(str(tmp_path / "saved.seg.nrrd"))
    for name in ("liver", "tumor"):
        segment = loaded.GetSegmentation().GetSegment(name)
        told = []
        for key in ("Model", "ModelSha256", "Threshold", "Quality", "Version"):
            value = vtk.reference("")
            assert segment.GetTag(f"LiverTumorSeg.{key}", value), key
            told.append(str(value))
        assert told == ["my model 1.2:3", "ab" * 32, "0.35", "best", "0.1.0"]


@pytest.mark.parametrize("change", ["spacing", "origin", "size", "values", "names"])
def test_wrong_results_are_refused_and_the_scene_is_untouched(slicer, tmp_path, change):
    from LiverTumorSegPanel.segmentationImport import readLabelmap
    from LiverTumorSegPanel.volumeExport import exportVolume, gridOf

    volume = addScan()
    exportVolume(volume, tmp_path / "scan.nrrd")
    scan = sitk.ReadImage(str(tmp_path / "scan.nrrd"))
    array = None
    if change == "spacing":
        scan.SetSpacing((0.8, 0.9, 2.6))
    elif change == "origin":
        scan.SetOrigin((-11, 22.01, 33))
    elif change == "size":
        scan = scan[:, :, 1:]
    elif change == "values":
        array = np.full((20, 24, 28), 7, np.uint8)
    sitk.WriteImage(scan, str(tmp_path / "other.nrrd"))
    names = (("liver", 1), ("tumor", 3)) if change == "names" else SEGMENTS
    writeResult(tmp_path / "other.nrrd", tmp_path / "wrong.seg.nrrd", array, names)
    before = sceneState()
    with pytest.raises(RuntimeError, match="nothing was imported"):
        readLabelmap(tmp_path / "wrong.seg.nrrd", gridOf(volume))
    assert sceneState() == before


def test_failure_in_the_middle_of_the_commit_leaves_nothing(slicer, tmp_path, monkeypatch):
    from LiverTumorSegPanel import segmentationImport

    volume = addScan()
    before = sceneState()

    def fail(_node):
        raise RuntimeError("no surface")

    monkeypatch.setattr(segmentationImport, "_display", fail)
    with pytest.raises(RuntimeError, match="no surface"):
        importResult(volume, tmp_path)
    assert sceneState() == before


def test_ct_changed_during_the_run(slicer, tmp_path):
    from LiverTumorSegPanel.segmentationImport import commitSegmentation, readLabelmap
    from LiverTumorSegPanel.volumeExport import exportVolume, gridOf

    volume = addScan()
    exportVolume(volume, tmp_path / "scan.nrrd")
    writeResult(tmp_path / "scan.nrrd", tmp_path / "scan.seg.nrrd")
    labelmap = readLabelmap(tmp_path / "scan.seg.nrrd", gridOf(volume))
    volume.SetSpacing(1, 1, 1)
    before = sceneState()
    with pytest.raises(RuntimeError, match="changed while it was being segmented"):
        commitSegmentation(volume, labelmap, "late", {})
    assert sceneState() == before
