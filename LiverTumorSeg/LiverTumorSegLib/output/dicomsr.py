"""DICOM SR: measured lesions as an Imaging Measurement Report, referring to a DICOM SEG (extra ``dicom``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError
from ..labels import LIVER, Code, Label
from ..wholefile import whole_file
from .dicomseg import MANUFACTURER, require_highdicom, source_images

_SERIES_NUMBER = 901
_DEVICE_UID = "2.25.221476913085497212354683107645126342021"
"""Names this program as the observer; made once at random."""
_VOLUME = Code("118565006", "Volume")
_LONG_AXIS, _SHORT_AXIS = Code("103339001", "Long axis"), Code("103340004", "Short axis")
_ATTENUATION = Code("112031", "Attenuation Coefficient", "DCM")
_MEAN, _DEVIATION = Code("373098007", "Mean"), Code("386136009", "Standard Deviation")
_ML, _MM, _HU = Code("ml", "ml", "UCUM"), Code("mm", "mm", "UCUM"), Code("[hnsf'U]", "Hounsfield unit", "UCUM")
_CT_ABDOMEN = Code("41806-1", "CT Abdomen Report", "LN")


@dataclass(frozen=True)
class SegmentMeasures:
    """What is reported of one segment.

    Attributes
    ----------
    segment : int
        Its number in the DICOM SEG, from 1.
    label : Label
        Its name and codes.
    volume_ml : float
        Its volume.
    diameter_mm, perpendicular_mm, mean_hu, sd_hu : float or None
        As in a `Lesion`; None of the organ.
    """

    segment: int
    label: Label
    volume_ml: float
    diameter_mm: float | None = None
    perpendicular_mm: float | None = None
    mean_hu: float | None = None
    sd_hu: float | None = None


def write_dicom_sr(
    path: Path, segmentation: Any, dicom_files: Sequence[str], measured: Sequence[SegmentMeasures], model: str
) -> None:
    """Write the measures of segments as a structured report.

    Template TID 1500 of DICOM PS3.16 with a volumetric measurement group (TID 1411) for each segment: volume, and of a
    lesion long and short axis, mean and standard deviation of the density. The file appears whole or not at all.

    Parameters
    ----------
    path : Path
        ``.dcm`` file.
    segmentation : pydicom Dataset
        What ``write_dicom_seg`` returned.
    dicom_files : sequence of str
        The slices it was made of.
    measured : sequence of SegmentMeasures
        At least one.
    model : str
        Id and version of the model.

    Raises
    ------
    UsageError
        highdicom is not installed, or the file cannot be written.
    InputError
        The slices lack what a report must repeat of them.
    """
    require_highdicom()
    import highdicom
    from highdicom import sr

    device = sr.ObserverContext(
        observer_type=_coded(Code("121007", "Device", "DCM")),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=_DEVICE_UID, name=MANUFACTURER, manufacturer_name=MANUFACTURER, model_name=f"{model}, {__version__}"
        ),
    )
    sources = source_images(dicom_files)
    try:
        report = sr.MeasurementReport(
            observation_context=sr.ObservationContext(observer_device_context=device),
            procedure_reported=_coded(_CT_ABDOMEN),
            imaging_measurements=[_group(each, segmentation, sources[0].SeriesInstanceUID) for each in measured],
            title=_coded(Code("126000", "Imaging Measurement Report", "DCM")),
        )
        document = sr.Comprehensive3DSR(
            evidence=[*sources, segmentation],
            content=report[0],
            series_instance_uid=highdicom.UID(),
            series_number=_SERIES_NUMBER,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer=MANUFACTURER,
            is_complete=True,
            series_description="Accepted liver lesions",
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise InputError(f"No DICOM SR can be made for the series of {dicom_files[0]}: {reason}.") from error
    with whole_file(path) as partial:
        document.save_as(partial)


def _group(measured: SegmentMeasures, segmentation: Any, source_series: str) -> Any:
    import highdicom
    from highdicom import sr

    values = (
        (_VOLUME, measured.volume_ml, _ML, None),
        (_LONG_AXIS, measured.diameter_mm, _MM, None),
        (_SHORT_AXIS, measured.perpendicular_mm, _MM, None),
        (_ATTENUATION, measured.mean_hu, _HU, _MEAN),
        (_ATTENUATION, measured.sd_hu, _HU, _DEVIATION),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=highdicom.UID(), identifier=measured.label.name),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=measured.segment,
            source_series=sr.SourceSeriesForSegmentation(source_series),
        ),
        finding_category=_coded(measured.label.category),
        finding_type=_coded(measured.label.type),
        finding_sites=[sr.FindingSite(_coded(LIVER.type))],
        measurements=[
            sr.Measurement(
                name=_coded(name),
                value=round(value, 4),
                unit=_coded(unit),
                derivation=None if derivation is None else _coded(derivation),
            )
            for name, value, unit, derivation in values
            if value is not None
        ],
    )


def _coded(code: Code) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)
