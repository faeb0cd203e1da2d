"""Reading the scan while the program is still starting: the page's libraries take as long to load."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING

from LiverTumorSegReview.case_files import CaseFiles

if TYPE_CHECKING:
    from LiverTumorSegLib.scan.imageio import CaseImage

_TURN_S = 0.0002
"""Unpacking asks for the interpreter thousands of times; at Python's own 5 ms a turn it would wait for the imports."""


def start_reading(files: CaseFiles) -> Future[CaseImage]:
    """Begin to read the CT of a case in a thread of its own; the result raises what reading raised.

    It raises InputError too where a result or a review beside the case is of another scan.
    """
    read: Future[CaseImage] = Future()

    def work() -> None:
        usual = sys.getswitchinterval()
        sys.setswitchinterval(_TURN_S)
        try:
            from LiverTumorSegLib.scan.imageio import read_case

            from LiverTumorSegReview.own_files import require_own_files

            scan = read_case(files.scan)
            require_own_files(files, scan)
            read.set_result(scan)
        except BaseException as error:  # whoever asks for the result gets it
            read.set_exception(error)
        finally:
            sys.setswitchinterval(usual)

    Thread(target=work, name="reading", daemon=True).start()
    return read
