"""Pixels of DICOM slices: compressed, inverted, beside other bits, big-endian, each with a rescale of its own."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_checks import codes, edit, same_volume
from LiverTumorSegLib.scan.imageio import read_case
from pydicom.uid import RLELossless


@pytest.fixture
def ct(make_ct):
    return make_ct(size=(40, 32, 20))


def compressed(dataset, compressor, file):
    """Compress the pixels of a dataset with GDCM, by way of a file of their own."""
    stored = np.frombuffer(dataset.PixelData, np.uint16).reshape(dataset.Rows, dataset.Columns)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetCompressor(compressor)
    writer.UseCompressionOn()
    writer.SetFileName(str(file))
    writer.Execute(sitk.GetImageFromArray(stored[None]))
    packed = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
    dataset.PixelData = packed.PixelData
    dataset["PixelData"].is_undefined_length = True


@pytest.mark.parametrize("kind", ["plain", "RLE", "JPEG2000", "JPEG"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_compressed_and_monochrome1_slices_are_the_stored_values(tmp_path, ct, dicom_series, kind, photometric):
    dicom_series(tmp_path / "a", ct)

    def change(_, dataset):
        dataset.PhotometricInterpretation = photometric
        if kind == "RLE":
            dataset.compress(RLELossless)
        elif kind != "plain":
            compressed(dataset, kind, tmp_path / "packed.dcm")
            assert dataset.file_meta.TransferSyntaxUID.is_compressed

    edit(tmp_path / "a", change)
    assert same_volume(read_case(tmp_path / "a").image, ct)


@pytest.mark.parametrize("signed", [0, 1])
def test_bits_beside_the_stored_ones_are_no_value(tmp_path, ct, dicom_series, signed):
    dicom_series(tmp_path, ct)

    def change(_, dataset):
        stored = np.frombuffer(dataset.PixelData, np.uint16).astype(int)
        stored = stored - 1024 if signed else stored
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, signed
        dataset.RescaleIntercept = "0" if signed else "-1024"
        # An overlay in the upper bits, as old scanners put it there.
        dataset.PixelData = ((stored & 0x0FFF) | 0x9000).astype(np.uint16).tobytes()

    edit(tmp_path, change)
    assert same_volume(read_case(tmp_path).image, ct)


def test_big_endian_slices(tmp_path, ct, dicom_series):
    dicom_series(tmp_path, ct)
    for path in tmp_path.iterdir():
        dataset = pydicom.dcmread(path)
        swapped = pydicom.Dataset()
        swapped.update({element.tag: element for element in dataset})
        swapped.file_meta = dataset.file_meta
        swapped.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
        swapped.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        swapped.save_as(path, implicit_vr=False, little_endian=False)
    assert same_volume(read_case(tmp_path).image, ct)


@pytest.mark.parametrize("lost", ["absent", "zero intercept"])
def test_slices_that_lost_their_rescale_are_an_error(tmp_path, ct, dicom_series, lost):
    dicom_series(tmp_path, ct)

    def change(number, dataset):
        if number == 12 and lost == "absent":
            del dataset.RescaleIntercept, dataset.RescaleSlope
        elif number == 12:
            dataset.RescaleIntercept = "0"

    edit(tmp_path, change)
    (finding,) = read_case(tmp_path).findings
    assert (finding.code, finding.grade, finding.overridable) == ("rescale_lost", "error", True)
    assert finding.message.startswith("1 of 20 slices (13) have lost the rescale")


def test_slices_with_rescales_of_their_own_are_fine(tmp_path, ct, dicom_series):
    dicom_series(tmp_path, ct)

    def change(number, dataset):
        stored = np.frombuffer(dataset.PixelData, np.uint16)
        dataset.RescaleIntercept = str(-1024 - 100 * (number % 3))
        dataset.PixelData = (stored + np.uint16(100 * (number % 3))).tobytes()

    edit(tmp_path, change)
    case = read_case(tmp_path)
    assert same_volume(case.image, ct)
    assert codes(case) == []
