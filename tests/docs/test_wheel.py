"""The wheel builds, installs in a clean environment and works without the source tree."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import maskdata as md
rows = md.from_rows({"ids": [[1, 2], [3]]})
print(md.__file__)
print(rows.apply(md.PaddedBatch(2)).get_single_element()["ids"].numpy().tolist())
"""


@pytest.mark.slow
def test_the_wheel_works_alone(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (source,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        tops = {name.split("/")[1] for name in archive.getnames()}
    assert {"maskdata", "docs"} <= tops
    assert not any(top.startswith(".venv") for top in tops)
    (wheel,) = tmp_path.glob("*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    assert "maskdata/py.typed" in files
    assert all(name.startswith(("maskdata/", "maskdata-")) for name in files)
    assert any(name.endswith("licenses/LICENSE") for name in files)

    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    # By the pip of this environment: a pip for that one takes four seconds to set up.
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    install = [*pip, "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    # TensorFlow and Keras come from this environment, maskdata from the wheel alone.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    run = subprocess.run(
        [str(python), "-I", "-c", PROGRAM], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert run.stdout.splitlines() == [str(site / "maskdata" / "__init__.py"), "[[1, 2], [3, 0]]"]
