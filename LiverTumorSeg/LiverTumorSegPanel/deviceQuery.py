"""Print the computing devices as JSON. Run as a script in a child process: importing torch takes seconds."""

from __future__ import annotations

import json
import sys


def queryDevices() -> dict:
    """Return {"torch": version or None, "devices": [[name for --device, words, kind], ...]}, fastest first.

    The kind is the one of the core's table of costs.
    """
    try:
        import torch
    except Exception as error:  # a broken install raises OSError, a missing one ImportError: both mean "no torch"
        return {"torch": None, "problem": f"{type(error).__name__}: {error}", "devices": []}
    devices = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        devices.append([f"cuda:{index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GB", "cuda"])
    mps = getattr(torch.backends, "mps", None)
    if mps is not None and mps.is_available():
        devices.append(["mps", "Apple GPU", "mps"])
    from LiverTumorSegLib.model.tiles import kind_of

    devices.append(["cpu", f"CPU, {torch.get_num_threads()} threads", kind_of(torch.device("cpu"))])
    return {"torch": torch.__version__, "problem": "", "devices": devices}


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"event": "devices", **queryDevices()}) + "\n")
