"""Sample data of the module, downloaded only when the reader asks for it and checked against a checksum."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

CATEGORY = "LiverTumorSeg"

SAMPLE_NAME = "LiverTumorSegCT"
SAMPLE_SHA256 = "e16eae0ae6fefa858c5c11e58f0f1bb81834d81b7102e021571056324ef6f37e"
SAMPLE_URL = f"https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/{SAMPLE_SHA256}"
"""Slicer's own public liver CT: Medical Segmentation Decathlon, Task03_Liver, liver_100, CC BY-SA 4.0."""


def registerSampleData(iconsFolder: Path) -> None:
    """Add the sample CT to the Sample Data module."""
    import SampleData

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # not before Slicer 5.12
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("Liver tumour segmentation"))
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE_NAME,
        thumbnailFileName=str(iconsFolder / "LiverTumorSegCT.png"),
        uris=SAMPLE_URL,
        fileNames="LiverTumorSegCT.nrrd",
        nodeNames=SAMPLE_NAME,
        checksums=f"SHA256:{SAMPLE_SHA256}",
    )
