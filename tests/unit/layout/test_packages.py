"""The layout's promises: one name per module, one top-level name in the wheel, no file too long."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = ("schemas", "projections", "consumers", "streams", "sql")
LINES_MAX = 450


@pytest.mark.parametrize("package", PACKAGES)
def test_a_root_package_refuses_its_bare_name(package):
    spec = importlib.util.spec_from_file_location(package, ROOT / package / "__init__.py")
    module = importlib.util.module_from_spec(spec)

    with pytest.raises(ImportError, match=rf"import tailrace\.{package}"):
        spec.loader.exec_module(module)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_link_in_src_leads_to_the_folder_at_the_root(package):
    link = ROOT / "src" / "tailrace" / package

    assert link.is_symlink()
    assert str(link.readlink()) == f"../../{package}"


def test_the_wheel_has_one_top_level_name_and_every_module(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" not in name]

    assert {name.split("/")[0] for name in names} == {"tailrace"}
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES, "src/tailrace"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    links = {f"src/tailrace/{package}" for package in PACKAGES}
    files = {path for path in tracked if path not in links}
    expected = {f"tailrace/{path.removeprefix('src/tailrace/')}" for path in files}
    assert expected <= set(names)


def test_no_file_is_longer_than_a_person_reads_in_one_go():
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*.sql", "*.lua"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    long = {
        path: lines
        for path in tracked
        if (lines := len((ROOT / path).read_text(encoding="utf-8").splitlines())) > LINES_MAX
    }

    assert long == {}
