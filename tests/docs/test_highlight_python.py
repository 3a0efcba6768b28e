"""The demo, run as a user would run it, and how it reads and tags Python files."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "highlight_python.py"


def load_python_source():
    path = DEMO.with_name("python_source.py")
    spec = importlib.util.spec_from_file_location("python_source", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # A dataclass looks for its own module there.
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


source = load_python_source()


@pytest.mark.parametrize(
    ("line", "tags"),
    [
        ("x = 1", "n o d"),
        ("return None", "kkkkkk kkkk"),
        ("match match:", "nnnnn nnnnno"),
        ("y=0x_ff+1e-3j # é", "nodddddoddddd ccc"),
        ("'a b' \"c\"", "sssss sss"),
        ("é = '日本' + b'\\n'", "n o ssss o sssss"),
        ("@a.b", "onon"),
        ("x = 1 \f", "n o d  "),
        ("", ""),
        ("   ", "   "),
    ],
)
def test_every_character_has_the_letter_of_its_token(line, tags):
    assert source.tag_lines(f"{line}\n")[0] == tags


def test_a_token_goes_on_over_lines():
    tags = source.tag_lines('x = """a\n  b\n\nc""" \\\n  + (1,\n\n2)\n')
    assert tags == ["n o ssss", "sss", "", "ssss o", "  o odo", "", "do", ""]


def test_code_in_an_f_string_is_code_since_python_3_12():
    tags = source.tag_lines('x = f"a{{b}} {y + 1!r:>{w}}"\n')[0]
    since = "on o donosonoos" if sys.version_info >= (3, 12) else "sssssssssssssss"
    assert tags == "n o sssssssss" + since


@pytest.mark.parametrize("text", ["x = 'a\n", 'x = """\n', "x = (\n", "if x:\n    y\n  z\n"])
def test_what_is_not_python_is_refused(text):
    with pytest.raises((SyntaxError, tokenize.TokenError)):
        source.tag_lines(text)


def test_lines_come_from_many_files_and_depend_on_the_seed_alone(tmp_path):
    for number in range(200):
        lines = [f"x{number}_{i} = {i}" for i in range(number % 7 * 10)]
        (tmp_path / f"{number}.py").write_text("\n\n".join(lines))
    reading, again = (source.read_folder(tmp_path, 800, seed=3) for _ in range(2))
    other = source.read_folder(tmp_path, 800, seed=4)
    assert reading == again != other
    assert reading.num_lines == 800
    assert len(reading.files) >= 160
    assert all(file.lines and len(file.lines) == len(file.tags) for file in reading.files)


def test_few_files_are_read_whole_and_tests_left_out(tmp_path):
    for name in ("a.py", "b/c.py", "tests/d.py", "site-packages/e.py", "f.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n\n   \ny = 2\n")
    reading = source.read_folder(tmp_path, 1000, seed=0)
    assert {file.path.name: file.lines for file in reading.files} == {
        "a.py": ["x = 1", "y = 2"],
        "c.py": ["x = 1", "y = 2"],
    }
    assert reading.skipped == {}


@pytest.mark.parametrize("sizes", [[1, 1], [1, 100], [100, 1], [5, 5, 5, 5, 5], [0, 3]])
def test_both_parts_have_files_and_none_is_in_both(sizes):
    files = [source.SourceFile(Path(str(i)), ["x"] * n, ["n"] * n) for i, n in enumerate(sizes)]
    held_out, training = source.Reading(Path(), files).split()
    assert held_out + training == files
    assert held_out
    assert training


def run_demo(*arguments):
    return subprocess.run(
        [sys.executable, DEMO, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("code")
    for path in (ROOT / "maskdata" / "data").glob("*.py"):
        shutil.copy(path, folder)
    (folder / "bad_bytes.py").write_bytes(b"x = 'caf\xe9'\n")
    (folder / "bad_coding.py").write_text("# coding: utf-9\n")
    (folder / "bad_syntax.py").write_text('x = """never closed\n')
    (folder / "long_line.py").write_text(f"x = [{'1, ' * 500}]\n")
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return run_demo("--files", folder, "--lines", 1200, "--epochs", 2, "--seed", 1)


def rows_of_table(text, title):
    """Return name -> cells of the table below a title."""
    table = text.partition(title)[2].split("\n\n")[0].splitlines()[2:]
    return {cells[0]: cells[1:] for cells in (re.split("  +", row.strip()) for row in table)}


def numbers(cells):
    return [float(cell.replace(",", "").rstrip("%")) for cell in cells]


@pytest.mark.slow
def test_it_says_nothing_but_its_report(run):
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert "\x1b" not in run.stdout
    assert re.search(r"\n\d+ seconds in all\n$", run.stdout)


@pytest.mark.slow
def test_what_could_not_be_read_is_reported_and_counted(run):
    assert re.search(r"\nfiles       \d\d, and 3 skipped\n", run.stdout)
    assert re.search(r"\n +bad_bytes.py: .*(decode|encoding).*\n", run.stdout)
    assert re.search(r"\n +bad_coding.py: unknown encoding.*\n", run.stdout)
    assert re.search(r"\n +bad_syntax.py: .*multi-line string.*\n", run.stdout)


@pytest.mark.slow
def test_buckets_pad_the_same_rows_less(run):
    table = rows_of_table(run.stdout, "Padding")
    plain, buckets = numbers(table["PaddedBatch"]), numbers(table["BucketBySequenceLength"])
    assert buckets[:3] == plain[:3]
    assert buckets[-1] < plain[-1]
    assert buckets[4] < plain[4]


@pytest.mark.slow
def test_padding_does_not_change_the_loss(run):
    losses = [numbers(cells) for cells in rows_of_table(run.stdout, "The loss").values()]
    alone, padded, padded_more = losses
    assert padded[0] == pytest.approx(alone[0], rel=1e-5)
    assert padded_more[0] == pytest.approx(alone[0], rel=1e-5)
    assert alone[1] == pytest.approx(alone[0], rel=1e-5)
    assert padded_more[1] == pytest.approx(padded[1] / 2, rel=1e-4)


@pytest.mark.slow
def test_the_accuracy_adds_up(run):
    assert len(re.findall(r"\nepoch \d: loss \d\.\d+, on held-out files \d\.\d+", run.stdout)) == 2
    table = rows_of_table(run.stdout, "Accuracy")
    right, total, accuracy = numbers(table.pop("all"))
    assert list(table) == list(source.CLASSES.values())
    assert sum(numbers(cells)[0] for cells in table.values()) == right
    assert sum(numbers(cells)[1] for cells in table.values()) == total
    assert accuracy == pytest.approx(100 * right / total, abs=0.01)
    assert accuracy > 50  # Far more than the most frequent class alone would give.


@pytest.mark.slow
def test_it_highlights_code_line_by_line(run):
    lines = run.stdout.partition("never saw\n")[2].split("\n\n")[0].splitlines()
    code, tags = lines[::2], lines[1::2]
    assert [len(line) for line in code] == [len(line) for line in tags]
    assert set("".join(tags)) <= set(source.CLASSES)
    compile("\n".join(code), "snippet.py", "exec")


@pytest.mark.parametrize("num_files", [0, 1, 2])
def test_too_little_is_one_clear_sentence(num_files, tmp_path, monkeypatch, capsys):
    for number in range(num_files):
        (tmp_path / f"{number}.py").write_text("x = 1\n" * 20)
    monkeypatch.syspath_prepend(DEMO.parent)
    monkeypatch.setattr(sys, "argv", [DEMO.name, "--files", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        importlib.import_module("highlight_python").main()
    too_little = "too little to learn from, it takes at least 100 lines in 2 Python files"
    assert capsys.readouterr().err == f"{tmp_path}: {too_little}\n"
