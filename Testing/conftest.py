"""Fixtures of all tests: no network, real scans where they are at hand, phantoms and DICOM series made on the fly."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

pytest_plugins = ("data_sets",)

AIR_HU, FAT_HU, LIVER_HU = -1000, -100, 110
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that make a test take long."""
    parser.addoption(
        "--fuzz",
        nargs="?",
        type=int,
        default=250,
        const=10_000,
        metavar="N",
        help="damaged headers to try (default 250; 10,000 where no number follows, and a series of 1,500 slices)",
    )
    parser.addoption(
        "--soak",
        nargs="?",
        type=int,
        default=0,
        const=1_000,
        metavar="N",
        help="scans of one long batch (default none; 1,000 where no number follows)",
    )


class NetworkUsedError(AssertionError):
    """A test tried to leave the machine."""


def _is_local(address: object) -> bool:
    if not isinstance(address, tuple):
        return True
    host = str(address[0])
    if host in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _no_network():
    """Let no test connect beyond this machine; sockets within it (worker processes) stay."""
    kept = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}

    def guarded(name):
        def call(self, *arguments):
            address = arguments[-1]
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address):
                raise NetworkUsedError(f"a test called socket.{name}({address})")
            return kept[name](self, *arguments)

        return call

    for name in kept:
        setattr(socket.socket, name, guarded(name))
    yield
    for name, function in kept.items():
        setattr(socket.socket, name, function)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real scans beside the repository, which a plain clone does not have."""
    named = os.environ.get("LIVERTUMORSEG_TEST_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real scans: name their folder in LIVERTUMORSEG_TEST_DATA")
    return folder


def ct_array(size: Sequence[int], seed: int = 0) -> np.ndarray:
    """Return HU [z, y, x] of an elliptic body with a liver in air, noise in every voxel so that no two are alike.

    ``size`` is (x, y, z).
    """
    x, y, z = np.ogrid[tuple(slice(0, n) for n in size)]
    inside = ((x - size[0] / 2) / (0.42 * size[0])) ** 2 + ((y - size[1] / 2) / (0.36 * size[1])) ** 2 < 1
    liver = (
        ((x - 0.38 * size[0]) / (0.2 * size[0])) ** 2
        + ((y - 0.5 * size[1]) / (0.2 * size[1])) ** 2
        + ((z - 0.5 * size[2]) / (0.35 * size[2])) ** 2
    ) < 1
    values = np.where(liver, LIVER_HU, np.where(inside, FAT_HU, AIR_HU))
    noise = np.random.default_rng(seed).integers(-10, 11, size=tuple(size))
    return (values + noise).transpose(2, 1, 0).astype(np.int16)


def ct_image(
    size: Sequence[int] = (80, 64, 40),
    spacing: Sequence[float] = (4.0, 4.0, 3.0),
    origin: Sequence[float] = (-160.0, -128.0, 50.0),
    direction: Sequence[float] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
) -> sitk.Image:
    """Return a small CT that passes every check."""
    image = sitk.GetImageFromArray(ct_array(size))
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(v) for v in origin])
    image.SetDirection([float(v) for v in direction])
    return image


def write_dicom_series(
    folder: Path,
    image: sitk.Image,
    *,
    positions: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    modality: str = "CT",
    description: str = "portal venous",
    number: int = 2,
    **changes: object,
) -> str:
    """Write the slices of an image as DICOM files and return the series instance UID.

    Parameters
    ----------
    folder : Path
        Made when absent.
    image : sitk.Image
        int16 HU; its direction must be right-handed along the slices.
    positions : ndarray (n, 3), optional
        Position of each slice where it is not the image's (tilt, uneven gaps).
    names : sequence of str, optional
        File names in slice order.
    **changes
        DICOM keywords set on every slice; None deletes one.
    """
    pydicom = pytest.importorskip("pydicom", reason="DICOM files are made with pydicom")
    from pydicom.uid import generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    array = sitk.GetArrayViewFromImage(image)
    matrix = np.reshape(image.GetDirection(), (3, 3))
    if positions is None:
        positions = np.array([image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(array.shape[0])])
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for k, plane in enumerate(array):
        slice_ = pydicom.Dataset()
        slice_.file_meta = pydicom.dataset.FileMetaDataset()
        slice_.file_meta.TransferSyntaxUID = EXPLICIT_LITTLE_ENDIAN
        slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID = CT_IMAGE_STORAGE
        slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID = generate_uid()
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID, slice_.FrameOfReferenceUID = study, series, frame
        slice_.PatientName, slice_.PatientID, slice_.PatientBirthDate, slice_.PatientSex = "Phantom^A", "1", "", "O"
        slice_.StudyDate, slice_.StudyTime, slice_.AccessionNumber, slice_.StudyID = "20200101", "120000", "", "1"
        slice_.ReferringPhysicianName, slice_.Manufacturer = "", "none"
        slice_.Modality, slice_.SeriesDescription, slice_.SeriesNumber = modality, description, number
        slice_.ImageType, slice_.InstanceNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], k + 1
        slice_.ImagePositionPatient = [f"{v:.8g}" for v in positions[k]]
        slice_.ImageOrientationPatient = [f"{v:.10g}" for v in np.concatenate([matrix[:, 0], matrix[:, 1]])]
        slice_.PixelSpacing = [f"{image.GetSpacing()[1]:.8g}", f"{image.GetSpacing()[0]:.8g}"]
        slice_.SliceThickness = f"{image.GetSpacing()[2]:.8g}"
        slice_.Rows, slice_.Columns = plane.shape
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 0
        slice_.RescaleIntercept, slice_.RescaleSlope, slice_.RescaleType = "-1024", "1", "HU"
        slice_.PixelData = (plane.astype(np.int32) + 1024).astype(np.uint16).tobytes()
        for keyword, value in changes.items():
            if value is None:
                delattr(slice_, keyword)
            else:
                setattr(slice_, keyword, value)
        name = names[k] if names is not None else f"{k:04d}.dcm"
        slice_.save_as(folder / name, enforce_file_format=True)
    return series


@pytest.fixture
def ct() -> sitk.Image:
    """Return a small CT that passes every check, oblique to the patient and with fractional spacing."""
    turn = np.radians(7.0)
    direction = (np.cos(turn), -np.sin(turn), 0, np.sin(turn), np.cos(turn), 0, 0, 0, 1)
    return ct_image(spacing=(3.9, 3.9, 3.1), direction=direction)


@pytest.fixture(scope="session")
def make_ct():
    """Return the function ``ct_image``."""
    return ct_image


@pytest.fixture(scope="session")
def dicom_series():
    """Return the function ``write_dicom_series``."""
    return write_dicom_series
