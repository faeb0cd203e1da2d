"""Asking the network about one place of the scan: a child process that stays, since it loads longer than it takes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import SimpleITK as sitk
from LiverTumorSegLib.errors import LiverTumorSegError

from LiverTumorSegReview.case_files import CaseFiles
from LiverTumorSegReview.command_line import ENDED_BY_THE_SYSTEM, end, signal_group, start

if TYPE_CHECKING:
    from LiverTumorSegLib.review.question import Question


class PlaceRun:
    """The command line with ``--places``; started by the first question, and again when it ended in the meantime.

    Parameters
    ----------
    files : CaseFiles
        Whose scan.
    """

    def __init__(self, files: CaseFiles) -> None:
        self._files = files
        self._process: asyncio.subprocess.Process | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._asked = 0
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int:
        """Return the child's process id; only while it runs."""
        assert self._process is not None  # it was started
        return self._process.pid

    async def ask(self, question: Question) -> sitk.Image:
        """Return the tumour probability around a place, an image of 0 to 255 on the scan's voxels.

        Raises
        ------
        LiverTumorSegError
            Why there is none, in one sentence.
        """
        from LiverTumorSegLib.review.question import ask, question_file

        async with self._turn:
            if self._process is None or self._process.returncode is not None:
                await self._start()
            assert self._folder is not None  # made with the process
            folder = Path(self._folder.name)
            self._asked += 1
            ask(folder, self._asked, question)
            await self._answered()
            return sitk.ReadImage(str(question_file(folder, self._asked).with_suffix(".nrrd")))

    async def close(self) -> None:
        """End the process and remove its folder."""
        if self._process is not None:
            await end(self._process)
        if self._folder is not None:
            self._folder.cleanup()
        self._process = self._folder = None

    def forget(self) -> None:
        """Tell the process to end, without waiting for it: the page itself ends."""
        if self._process is not None and self._process.returncode is None:
            signal_group(self._process.pid, gently=True)

    async def _start(self) -> None:
        await self.close()
        self._folder, self._asked = tempfile.TemporaryDirectory(), 0
        self._process = await start([str(self._files.scan), "--output", self._folder.name, "--places"])

    async def _answered(self) -> None:
        """Wait for the answer to the last question."""
        assert self._process is not None  # it was started
        assert self._process.stdout is not None  # a pipe was asked for
        async for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "place" and event.get("number") == self._asked:
                    return
                if event.get("event") == "error":
                    raise LiverTumorSegError(str(event["message"]))
        await self._process.wait()
        raise LiverTumorSegError(ENDED_BY_THE_SYSTEM)
