"""A batch over a real Dask cluster of two worker processes, one of which is killed in the middle."""

import json
import os
import signal

import pytest
from LiverTumorSegLib.__main__ import main

from .conftest import rows

distributed = pytest.importorskip("distributed", reason="distributed belongs to the dask packages")


@pytest.fixture
def cluster(models, monkeypatch):
    """Return a cluster on this computer whose workers know the density models."""
    monkeypatch.setenv("LIVERTUMORSEG_MODELS", str(models))
    made = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    )
    with made:
        yield made


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_worker_costs_no_scan_and_a_bad_scan_is_named(start, cluster, scans_of, tmp_path):
    names, output = ("a", "b", "c", "d", "e"), tmp_path / "out"
    folder = scans_of(*names)
    (folder / "broken.nii.gz").write_bytes(b"not an image")
    with distributed.Client(cluster) as client:
        before = client.run(os.getpid)
        process = start(folder, "--output", output, "--dask", cluster.scheduler_address, "--json-progress")
        told = []
        for line in process.stdout:
            told.append(json.loads(line))
            if len([event for event in told if event["event"] == "result"]) == 1 and len(before) == 2:
                os.kill(before.popitem()[1], signal.SIGKILL)
        assert process.wait(60) == 3
    assert len(before) == 1
    states = {name: row["status"] for name, row in rows(output).items()}
    assert states == dict.fromkeys(names, "done") | {"broken": "failed"}
    assert "broken.nii.gz" in rows(output)["broken"]["reason"]
    assert sorted(event["case"] for event in told if event["event"] == "result") == list(names)
    endings = ("lesions.csv", "png", "report.json", "seg.nrrd")
    results = {f"{name}.{ending}" for name in names for ending in endings}
    assert {path.name for path in output.iterdir()} == results | {"summary.csv", "summary.html"}
    again = start(folder, "--output", output, "--dask", cluster.scheduler_address)
    assert again.wait(300) == 3
    assert [row["status"] for row in rows(output).values()].count("finished before") == len(names)


def test_no_scheduler_is_one_sentence(models, monkeypatch, scans_of, tmp_path, capsys):
    from LiverTumorSegLib.batch import cluster

    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    monkeypatch.setenv("LIVERTUMORSEG_MODELS", str(models))
    options = ["--output", str(tmp_path / "out"), "--device", "cpu", "--dask", "tcp://127.0.0.1:9"]
    assert main([str(scans_of("a", "b")), *options]) == 2
    assert "No Dask scheduler answers at tcp://127.0.0.1:9" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_workers_with_dask_is_refused(scans_of, tmp_path, capsys):
    options = ["--output", str(tmp_path / "out"), "--dask", "tcp://127.0.0.1:9", "--workers", "2"]
    assert main([str(scans_of("a")), *options]) == 2
    assert "leave one out" in capsys.readouterr().err
