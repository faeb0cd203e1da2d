"""Rewrite requirements/{runtime,train,test,review}.txt from pyproject.toml (for developers; needs uv on the PATH)."""

import os
import re
import subprocess
import sys

from bootstrap import APART, GROUPS, ROOT, lock_file

EXTRAS = {"runtime": "cli", "train": "train", "test": "test", "review": "review-test"}
TORCH_OWN = re.compile(r"^(torch|triton|cuda-|nvidia-)")
"""Brought by the torch build of the machine, hence never locked."""

HEADER = "# Written by scripts/lock.py: all packages but torch, for Python 3.10 to 3.13, every system. Do not edit.\n"


def without_torch(text: str) -> str:
    """Drop the entries (a requirement line and its hash lines) that the torch build brings."""
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    return "".join(entry for entry in entries if not TORCH_OWN.match(entry))


def main() -> int:
    """Lock the widest group first, so that the smaller ones are subsets of it."""
    for group in (*APART, *reversed(GROUPS)):
        target = lock_file(group)
        command = ["uv", "pip", "compile", "pyproject.toml", "requirements/build.in", "--extra", EXTRAS[group]]
        command += ["--constraint", "requirements/torch.txt", "--universal", "--python-version", "3.10", "--quiet"]
        command += ["--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header", *sys.argv[1:]]
        if group in GROUPS[:-1]:
            command += ["--constraint", str(lock_file(GROUPS[-1]).relative_to(ROOT))]
        lock = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, env=os.environ).stdout
        target.write_text(HEADER + without_torch(lock), encoding="utf-8", newline="\n")
        print(f"{target.relative_to(ROOT)}: {target.read_text(encoding='utf-8').count('==')} pins")
    return 0


if __name__ == "__main__":
    sys.exit(main())
