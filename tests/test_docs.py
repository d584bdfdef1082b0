"""The documents hold: code runs, command lines parse, links resolve, the README stays short."""

import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from helpers import ROOT

import kalmanrnn
from kalmanrnn.cli.entry_point import COMMANDS, command
from kalmanrnn.core.config import RunConfig

DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
NOT_RUN = re.compile(r"<!-- not run: [^>]+ -->\n$")
FENCE = re.compile(r"^( *)``` ?(\S*)\n(.*?)^ *```$", re.S | re.M)


def blocks(text, language):
    """Give the fenced blocks of a language that are meant to be run."""
    found = []
    for fence in FENCE.finditer(text):
        skipped = NOT_RUN.search(text[: fence.start()])
        if fence[2] == language and not skipped and "--8<--" not in fence[3]:
            found.append(fence[3])
    return found


def prose(text):
    return FENCE.sub("", text)


def test_the_readme_is_short():
    assert len(PAGES[0].read_text().splitlines()) < 150


def runs(page):
    """Whether a page's code is run; slow where it trains."""
    code = "".join(blocks(page.read_text(), "python"))
    marks = [pytest.mark.slow] * ("kr.train(" in code)
    return [pytest.param(page, id=page.stem, marks=marks)] if code else []


@pytest.mark.parametrize("page", [param for page in PAGES for param in runs(page)])
def test_python_on_a_page_runs(page, tmp_path, monkeypatch, capsys):
    """A page's blocks run one after the other, as in a notebook."""
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    space = {"__name__": "docs"}
    for code in blocks(page.read_text(), "python"):
        exec(compile(code, page.name, "exec"), space)


# Command lines.


class Parsed(Exception):  # noqa: N818
    """Flags were read; nothing shall run."""


@pytest.fixture
def parse_only(tmp_path, monkeypatch):
    """Let commands read their flags and stop; the files that docs name are there."""
    for name, source in (("my_robot", "rover"), ("my_task", "sine")):
        shutil.copy(ROOT / "sims" / f"{source}.py", tmp_path / f"{name}.py")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copy(ROOT / "examples" / "my_filter.py", tmp_path / "my_filter.py")
    run = tmp_path / "runs" / "latest"
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(asdict(RunConfig(sim="imu_gps"))))
    monkeypatch.chdir(tmp_path)
    common = importlib.import_module("kalmanrnn.cli.common")
    real = common.parse

    def parse(*args, **kwargs):
        real(*args, **kwargs)
        raise Parsed

    for name in {module for module, _ in COMMANDS.values()} | {"train_task"}:
        module = importlib.import_module(f"kalmanrnn.cli.{name}")
        if getattr(module, "parse", None) is real:
            monkeypatch.setattr(module, "parse", parse)


def command_lines(page):
    """Give the lines in shell blocks that start with kalmanrnn, as lists of arguments."""
    text = "\n".join(blocks(page.read_text(), "sh")).replace("\\\n", " ")
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0].rpartition("/")[2] == "kalmanrnn":
            yield words[1:]


@pytest.mark.parametrize("page", [p for p in PAGES if list(command_lines(p))], ids=lambda p: p.stem)
def test_command_lines_parse(page, parse_only):
    for words in command_lines(page):
        if words == ["sims"]:
            continue
        lines = [words]
        if words[0] == "sweep":
            # What follows `--` are flags of train.
            sim = words[words.index("--sim") : words.index("--sim") + 2]
            passed = words[words.index("--") + 1 :] if "--" in words else []
            lines.append(["train", *sim, *passed])
        for line in lines:
            with pytest.raises(Parsed):
                command(line[0])(line[1:])


def test_flags_in_the_text_exist(capsys):
    """Whatever stands in backticks and begins with two dashes is a flag of some command."""
    known = {"--strict", "--help", "--json"}
    helps = [[name] for name in COMMANDS if name != "sims"]
    for line in [*helps, ["train", "--sim", "sine"], ["sims", "copy"], ["sims", "check"]]:
        with pytest.raises(SystemExit):
            command(line[0])([*line[1:], "--help"])
        known |= set(re.findall(r"--[a-z][a-z0-9-]*", capsys.readouterr().out))
    for page in PAGES:
        quoted = " ".join(re.findall(r"`([^`\n]+)`", prose(page.read_text())))
        flags = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", quoted))
        assert flags <= known, (page.name, flags - known)


# Links.


def slug(heading):
    """Name a heading's anchor as Python-Markdown does."""
    text = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"[^\w\s-]", "", text.encode("ascii", "ignore").decode()).strip().lower()
    return re.sub(r"[-\s]+", "-", text)


def anchors(path):
    return {slug(h) for h in re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text()), re.M)}


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=lambda p: p.stem
)
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        where = page.parent / path if path else page
        assert where.exists(), (page.name, target)
        # A site has nothing but its own folder.
        assert page not in DOCS or ROOT / "docs" in where.resolve().parents, (page.name, target)
        if anchor:
            assert anchor in anchors(where), (page.name, target)


def settings():
    """Read mkdocs.yml."""
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def test_every_page_is_in_the_navigation():
    text = yaml.dump(settings()["nav"])
    listed = sorted(re.findall(r"[\w/-]+\.md", text))
    assert listed == sorted(str(p.relative_to(ROOT / "docs")) for p in DOCS)


def test_every_public_name_is_on_one_reference_page():
    text = "\n".join(p.read_text() for p in (ROOT / "docs" / "reference").glob("*.md"))
    names = re.findall(r"^::: kalmanrnn\.(\w+)$", text, re.M)
    assert sorted(names) == sorted(set(kalmanrnn.__all__) - {"__version__"})


# `make docs` is the short way to the same answer.
@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs", reason="pip install -e '.[docs]'")
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    loaded = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=[\"']?(?:https?:)?//")
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert not loaded.search(page.read_text()), page.name
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", sheet.read_text()), sheet.name


def test_the_readme_lists_every_package():
    listed = set(re.findall(r"^\| `kalmanrnn\.(\w+)` \|", PAGES[0].read_text(), re.M))
    found = {p.parent.name for p in Path(kalmanrnn.__file__).parent.glob("*/__init__.py")}
    assert listed == found - {"sims"}
