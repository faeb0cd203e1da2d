"""Main memory as macOS and Windows tell it: their answers laid out in bytes as their headers say, read on any system.

XNU (bsd/vm/vm_unix.c, bsd/kern/kern_mib.c): the counts of pages and vm.pagesize have four bytes, hw.memsize eight.
Windows (sysinfoapi.h): MEMORYSTATUSEX, two DWORD and seven DWORDLONG; its length must be set before it is asked for.
"""

import ctypes
import struct
import types

import pytest
from LiverTumorSegLib import memory
from LiverTumorSegLib.memory import Memory, machine_memory

GIGABYTE = 2**30
MAC = {
    "hw.memsize": 8 * GIGABYTE,
    "hw.pagesize": 4096,  # of a process under Rosetta
    "vm.pagesize": 16384,
    "vm.page_free_count": 45231,
    "vm.page_speculative_count": 12345,  # among the file-backed ones already
    "vm.page_purgeable_count": 23456,
    "vm.page_pageable_external_count": 120345,
}


@pytest.fixture
def mac(monkeypatch):
    """A kernel that knows these names."""
    known = dict(MAC)

    def sysctlbyname(name, value, size, new, new_size):
        assert (new, new_size.value) == (None, 0)
        if name.decode() not in known:
            return -1
        answer = struct.pack("<Q" if name.startswith(b"hw.") else "<I", known[name.decode()])
        assert size._obj.value >= len(answer)
        ctypes.memmove(ctypes.addressof(value._obj), answer, len(answer))
        size._obj.value = len(answer)
        return 0

    monkeypatch.setattr(memory.sys, "platform", "darwin")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _name: types.SimpleNamespace(sysctlbyname=sysctlbyname))
    return known


def test_a_mac_counts_in_the_pages_of_its_kernel(mac):
    assert machine_memory() == Memory(8 * GIGABYTE, (45231 + 23456 + 120345) * 16384)


def test_a_mac_that_does_not_say_has_no_plan_and_no_error(mac):
    del mac["vm.page_pageable_external_count"]
    assert machine_memory() is None


@pytest.mark.parametrize(
    ("answers", "commit", "expected"),
    [
        (1, 9 * GIGABYTE, Memory(16 * GIGABYTE, 5 * GIGABYTE)),
        (1, 2 * GIGABYTE, Memory(16 * GIGABYTE, 2 * GIGABYTE)),
        (0, 9 * GIGABYTE, None),
    ],
)
def test_windows_fills_its_structure(monkeypatch, answers, commit, expected):
    fields = "<II7Q"

    def fill(status):
        assert status._obj.length == ctypes.sizeof(status._obj) == struct.calcsize(fields) == 64
        told = (64, 68, 16 * GIGABYTE, 5 * GIGABYTE, 20 * GIGABYTE, commit, 2**47, 2**46, 0)
        ctypes.memmove(ctypes.addressof(status._obj), struct.pack(fields, *told), 64)
        return answers

    kernel = types.SimpleNamespace(GlobalMemoryStatusEx=fill)
    monkeypatch.setattr(memory.sys, "platform", "win32")
    monkeypatch.setattr(memory.ctypes, "windll", types.SimpleNamespace(kernel32=kernel), raising=False)
    assert machine_memory() == expected
