"""Headers of every format with random damage: an image on the grid that the file gives, or one sentence; never worse.

A few hundred examples in the suite, 10,000 with ``--fuzz``.
"""

import gzip
import struct
import time
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.errors import LiverTumorSegError
from LiverTumorSegLib.grid import affine_of, corner_distance_mm, shear_of
from LiverTumorSegLib.scan.checks import check_image
from LiverTumorSegLib.scan.imageio import read_case

FORMATS = (".nii", ".nii.gz", ".nii2", ".img", ".nrrd", ".nhdr", ".mha", ".mhd", "slices", "frames")
LONGEST_S = 10.0
MOST_MEMORY = 1 << 30
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
TOKENS = ["", "nan", "-inf", "0", "-1", "1e308", "1e-308", "32768", "-2147483648", "99999999999999999999", "none"]
TOKENS += ["a\\b", "(nan,0,0) (0,2,0) (0,0,3)", "(1,0,0) (1,0,0) (0,0,3)", "10 9", "10 9 8 7", "30000 30000 3000"]
TOKENS += ["肝", "\x00\xff"]
NUMBERS = [0.0, -1.0, 1.0, 348.0, 3.4e38, -3.4e38, 1e-38, float("nan"), float("inf"), 32767.0, -32768.0, 1e9]
DICOM_TAGS = [(0x0008, e) for e in (0x05, 0x08, 0x16, 0x18, 0x60, 0x103E)]
DICOM_TAGS += [(0x0010, 0x10), (0x0020, 0x0D), (0x0020, 0x0E), (0x0020, 0x11), (0x0020, 0x13), (0x0020, 0x32)]
DICOM_TAGS += [(0x0020, 0x37), (0x0028, 0x02), (0x0028, 0x04), (0x0028, 0x08), (0x0028, 0x10), (0x0028, 0x11)]
DICOM_TAGS += [(0x0028, 0x30), (0x0028, 0x100), (0x0028, 0x101), (0x0028, 0x102), (0x0028, 0x103), (0x0028, 0x1052)]
DICOM_TAGS += [(0x0028, 0x1053), (0x7FE0, 0x10), (0x5200, 0x9229), (0x5200, 0x9230), (0x0002, 0x10)]

EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("bytes"), st.integers(0, 1200), st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("field"), st.integers(0, 60), st.sampled_from(TOKENS)),
        st.tuples(st.just("number"), st.integers(40, 330), st.sampled_from(NUMBERS)),
        st.tuples(st.just("cut"), st.integers(1, 3000), st.just(b"")),
    ),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory, make_ct, dicom_series):
    """Return for each format the files of a whole scan: name to bytes, the one to damage first."""
    folder = tmp_path_factory.mktemp("whole")
    image = make_ct(size=(10, 9, 8), spacing=(4.0, 3.5, 3.0))
    found = {}
    for suffix in (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"):
        place = folder / suffix[1:]
        place.mkdir()
        sitk.WriteImage(image, str(place / f"a{suffix}"), useCompression=False)
        found[suffix] = files_of(place, f"a{suffix}")
    one = nibabel.load(folder / "nii" / "a.nii")
    for key, kind, name in ((".nii2", nibabel.Nifti2Image, "a.nii"), (".img", nibabel.Nifti1Pair, "a.img")):
        place = folder / key[1:]
        place.mkdir()
        nibabel.save(kind(np.asarray(one.dataobj), one.affine), place / name)
        found[key] = files_of(place, name.replace(".img", ".hdr"))
    dicom_series(folder / "slices", image)
    found["slices"] = files_of(folder / "slices", "0003.dcm")
    found["frames"] = {"enhanced.dcm": enhanced(found["slices"], folder / "enhanced.dcm")}
    return found


def files_of(folder, first):
    names = sorted((path.name for path in folder.iterdir()), key=lambda name: name != first)
    return {name: (folder / name).read_bytes() for name in names}


def enhanced(files, path):
    """Return the bytes of one object with all slices as frames."""

    def item(**values):
        dataset = pydicom.Dataset()
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        return dataset

    slices = [pydicom.dcmread(pydicom.filebase.DicomBytesIO(raw)) for _, raw in sorted(files.items())]
    whole = slices[0]
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    whole.NumberOfFrames = len(slices)
    whole.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=whole.ImageOrientationPatient)],
            PixelMeasuresSequence=[item(PixelSpacing=whole.PixelSpacing)],
            PixelValueTransformationSequence=[item(RescaleIntercept="-1024", RescaleSlope="1")],
        )
    ]
    whole.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=s.ImagePositionPatient)]) for s in slices
    ]
    whole.PixelData = b"".join(s.PixelData for s in slices)
    whole.save_as(path)
    return path.read_bytes()


def damaged(raw, name, edits):
    """Return a file with the edits applied to its header."""
    packed = name.endswith(".nii.gz")
    raw = bytearray(gzip.decompress(raw) if packed else raw)
    for kind, place, what in edits:
        if kind == "bytes":
            raw[place : place + len(what)] = what
        elif kind == "cut":
            del raw[place:]
        elif kind == "number" and name.endswith((".nii", ".nii.gz", ".hdr")):
            raw[place // 4 * 4 : place // 4 * 4 + 4] = struct.pack("<f", what)
        elif kind == "field":
            raw = with_field(raw, name, place, what)
    return gzip.compress(bytes(raw), 1) if packed else bytes(raw)


def with_field(raw, name, place, token):
    """Return a header with a value of a text header, or of a DICOM element, replaced."""
    value = token.encode()
    if name.endswith(".dcm"):
        group, element = DICOM_TAGS[place % len(DICOM_TAGS)]
        at = raw.find(struct.pack("<2H", group, element))
        if at < 0 or len(raw) < at + 12:
            return raw
        long_form = bytes(raw[at + 4 : at + 6]) in {b"OB", b"OW", b"SQ", b"UN"}
        start = at + (12 if long_form else 8)
        length = struct.unpack_from("<I" if long_form else "<H", raw, at + (8 if long_form else 6))[0]
        length = min(length, 64, len(raw) - start)
        raw[start : start + length] = value[:length].ljust(length)
        return raw
    lines = raw.split(b"\n")
    heads = [n for n, line in enumerate(lines[:30]) if line[:1].isalpha() and (b":" in line or b"=" in line)]
    if heads:
        number = heads[place % len(heads)]
        mark = b":" if b":" in lines[number] else b"="
        lines[number] = bytes(lines[number].split(mark)[0]) + mark + b" " + value
    return bytearray(b"\n".join(lines))


def require_grid_of_file(case, files, folder):
    """Compare the grid with what other readers make of the header, where it leaves no doubt."""
    image, codes = case.image, {f.code for f in case.findings}
    affine, size = affine_of(image), image.GetSize()
    assert np.isfinite(affine).all()
    assert min(image.GetSpacing()) > 0
    assert shear_of(image.GetDirection()) < 2e-3
    scale = max(1.0, float(np.abs(affine).max()))
    name = next(iter(files))
    if name.endswith((".nii", ".nii.gz", ".hdr")):
        if codes & {"orientation_unknown", "spacing_contradiction"}:
            return
        header = nifti_header(folder / name)
        unit = {1: 1000.0, 3: 0.001}.get(int(header["xyzt_units"]) & 7, 1.0)
        forms = [header.get_sform(), affine_of_quaternion(header)]
        wanted = [LPS @ np.diag([unit, unit, unit, 1.0]) @ form for form in forms]
        distances = [corner_distance_mm(affine, form, size) for form in wanted if np.isfinite(form).all()]
        assert min(distances) < 5e-3 * scale * max(size)
    elif not name.endswith(".dcm"):
        read = sitk.ReadImage(str(folder / name))
        assert corner_distance_mm(affine, affine_of(read), size) < 2e-3 * scale * max(size)
    elif not codes & {"uneven_slices", "gantry_tilt"} and len(case.dicom_files) > 1:
        for number, file in enumerate(case.dicom_files):
            dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
            place = image.TransformIndexToPhysicalPoint((0, 0, number))
            off = np.abs(np.subtract(place, [float(v) for v in dataset.ImagePositionPatient])).max()
            assert off < 0.6 * max(image.GetSpacing()) + 1e-6 * scale


def require_sentence(text):
    text.encode()
    assert "\n" not in text
    assert text.endswith(".")


def nifti_header(path):
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for kind, length in ((nibabel.Nifti1Header, 348), (nibabel.Nifti2Header, 540)):
        for order in "<>":
            header = kind(raw[:length], order, check=False)
            if header["sizeof_hdr"] == length:
                return header
    raise AssertionError("an image was read from a file that is no NIfTI")


def affine_of_quaternion(header):
    header["pixdim"][0] = -1.0 if header["pixdim"][0] < 0 else 1.0
    try:
        return header.get_qform()
    except (ValueError, nibabel.spatialimages.HeaderDataError):
        return np.full((4, 4), np.nan)


@pytest.fixture(scope="module")
def memory_limit():
    """Let this process take only so much more memory than it has."""
    resource = pytest.importorskip("resource", reason="memory is limited the POSIX way")
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        pytest.skip("the size of a process is read the Linux way")
    before = resource.getrlimit(resource.RLIMIT_AS)
    held = int(statm.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MOST_MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.timeout(3 * 3600)
@pytest.mark.usefixtures("memory_limit")
@pytest.mark.filterwarnings("ignore")
def test_damaged_headers_are_read_right_or_refused(originals, tmp_path, request, capfd):
    outcomes = {"read": 0, "refused": 0}

    count = request.config.getoption("--fuzz")

    @settings(
        max_examples=count,
        # The suite tries the same ones each time; --fuzz looks for new ones.
        derandomize=count < 1000,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(FORMATS), EDITS)
    def check(kind, edits):
        files = dict(originals[kind])
        name = next(iter(files))
        files[name] = damaged(files[name], name, edits)
        folder = tmp_path / kind.strip(".")
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for file, raw in files.items():
            (folder / file).write_bytes(raw)
        start = time.perf_counter()
        try:
            case = read_case(folder if kind == "slices" else folder / name)
            check_image(case.image, case.modality)
        except LiverTumorSegError as error:
            outcomes["refused"] += 1
            require_sentence(str(error))
            return
        finally:
            assert time.perf_counter() - start < LONGEST_S
        outcomes["read"] += 1
        for finding in case.findings:
            require_sentence(finding.message)
        assert case.image.GetDimension() == 3
        assert case.image.GetNumberOfPixels() <= 40 * sum(map(len, files.values()))
        require_grid_of_file(case, files, folder)

    check()
    with capfd.disabled():
        print(f"{outcomes['read']} read, {outcomes['refused']} refused")
    assert min(outcomes.values()) > 20
