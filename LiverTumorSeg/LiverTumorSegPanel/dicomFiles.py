"""The DICOM files that a CT of the scene was loaded from."""

from __future__ import annotations

from pathlib import Path

import slicer
from LiverTumorSegLib.scan.dicomheader import is_dicom


def dicomFilesOf(volumeNode) -> list[str]:
    """Return the slices that are still on the disk, as Slicer's database or the node knows them.

    Nothing where one of them is gone: what refers to a part of a series would be wrong.
    """
    database = getattr(slicer, "dicomDatabase", None)
    instances = (volumeNode.GetAttribute("DICOM.instanceUIDs") or "").split()
    if database is not None and instances:
        files = [str(database.fileForInstance(instance) or "") for instance in instances]
    else:
        storage = volumeNode.GetStorageNode()
        files = [] if storage is None else [storage.GetFileName() or ""]
        if storage is not None and storage.GetNumberOfFileNames():
            files = [storage.GetNthFileName(index) for index in range(storage.GetNumberOfFileNames())]
    return files if files and all(file and Path(file).is_file() and is_dicom(Path(file)) for file in files) else []
