"""The report: one page that loads nothing, shows every figure, and escapes what tokens hold."""

from __future__ import annotations

import base64
import json
import re
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_support import STRANGE, STRINGS, Reader, comparison, settings

from probsig_fast.errors import ArgumentError, MissingExtraError

pytest.importorskip("torch")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from probsig_fast.plots.token_labels import visible
from probsig_fast.report import Measured, Settings, measure, write_measured, write_report
from probsig_fast.report.blocks import Table, Token, plain, token_cell
from probsig_fast.report.page import Page, render
from probsig_fast.report.pairs import groups
from probsig_fast.report.write import _remove_pictures, finite

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def measured() -> list[Measured]:
    return [measure(comparison(), settings()), measure(comparison("psi_pre"), settings())]


@pytest.fixture(scope="module")
def folder(measured: list[Measured], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reports") / "out"
    second = replace(
        measured[1].comparison,
        embedding=replace(measured[1].comparison.embedding, which="output", tied=True),
    )
    both = [measured[0], replace(measured[1], comparison=second)]
    told = {
        "counts": "docs & <b>others</b>.safetensors",
        "share": float("nan"),
        "sizes": {"V": 40, "kinds": ["a", "b"], "folded": False},
    }
    write_measured(path, both, settings(), told)
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> Reader:
    return Reader((folder / "report.html").read_text("utf-8"))


def test_the_page_is_well_formed(page: Reader, folder: Path) -> None:
    text = (folder / "report.html").read_text("utf-8")
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    names = [name for name, _ in page.elements]
    assert names.count("h1") == names.count("main") == names.count("title") == 1
    ids = [value for _, attributes in page.elements if (value := attributes.get("id"))]
    assert len(ids) == len(set(ids))
    targets = [attributes["href"] for attributes in page.all("a")]
    assert targets
    assert all(target is not None and target[1:] in ids for target in targets)
    assert "{{" not in text
    assert "{%" not in text


def test_nothing_is_loaded_and_nothing_runs(page: Reader) -> None:
    for name, attributes in page.elements:
        assert name not in ("script", "iframe", "object", "embed", "base", "form")
        for attribute, value in attributes.items():
            assert not attribute.startswith("on")
            if attribute in ("src", "href", "srcset", "action", "data", "poster"):
                assert value is not None
                assert re.match(r"data:|#", value), (name, attribute, value[:60])
    (style,) = re.findall(r"<style>(.*?)</style>", page.source, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    policies = [each for each in page.all("meta") if "http-equiv" in each]
    assert (policies[0]["content"] or "").startswith("default-src 'none'; img-src data:;")


def test_every_picture_has_words_and_is_the_file_beside_the_page(
    page: Reader, folder: Path
) -> None:
    images = page.all("img")
    files = sorted(path.name for path in folder.iterdir() if path.suffix == ".png")
    assert len(images) == len(files) == 16
    contents = {(folder / name).read_bytes(): name for name in files}
    seen = set()
    for image in images:
        assert len(image["alt"] or "") > 40
        head, _, data = (image["src"] or "").partition(",")
        assert head == "data:image/png;base64"
        content = base64.b64decode(data, validate=True)
        assert content.startswith(PNG)
        width, height = struct.unpack(">II", content[16:24])
        assert image["width"] == str(round(width / 2))
        assert image["height"] == str(round(height / 2))
        seen.add(contents[content])
    assert seen == set(files)
    captions = page.text
    assert all(name in captions for name in files)


def test_tables_have_headings_and_no_empty_cell(measured: list[Measured], page: Reader) -> None:
    tables, regions = (
        page.all("table"),
        [each for each in page.all("div") if each.get("role") == "region"],
    )
    assert len(regions) == len(tables) + sum(
        each.get("class") == "wide" for each in page.all("figure")
    )
    assert all(each["aria-label"] and each["tabindex"] == "0" for each in regions)
    assert all(each["scope"] in ("row", "col") for each in page.all("th"))


def test_tokens_are_shown_as_they_are_and_read_as_text(page: Reader, folder: Path) -> None:
    source = (folder / "report.html").read_text("utf-8")
    assert "<script>alert" not in source
    assert "<img src=x" not in source
    shown = {attributes["title"] for attributes in page.all("code")}
    compared = {f"id {STRINGS.index(text)}" for text in STRANGE}
    assert shown & compared  # some of them are among the listed ones
    for text in STRANGE:
        if f"id {STRINGS.index(text)}" in shown:
            assert visible(text) in page.text


def test_the_figures_are_on_the_page(page: Reader, measured: list[Measured]) -> None:
    for each in measured:
        for result in (each.raw, each.centred):
            for value in (
                f"{result.metrics.correlation.pearson:+.4f}",
                f"{result.metrics.interval.error:.4f}",
                f"{result.metrics.interval.low:.4f} to {result.metrics.interval.high:.4f}",
                f"{result.metrics.cka:.4f}",
                f"{result.metrics.debiased_cka:+.4f}",
                f"{result.spearman.value:+.4f}",
                f"{result.null.z:+.1f}, {result.null.p_value:.3f}",
                f"{result.null.exact_z:+.1f}",
                f"{result.banded_null.mean:+.4f} ± {result.banded_null.deviation:.4f}",
                f"{result.strong_pairs.by_embedding.mean_signature_cosine:.4f}",
                f"{result.strong_pairs.signature_lift:.3g} x",
                f"{100 * result.strong_pairs.overlap_share:.3g} %",
                f"{100 * result.neighbours.overlap[1]:.3g} %",
                f"{result.strata[2].pearson:+.4f}",
                f"{np.nanmax(result.metrics.per_token.correlation):+.3f}"
                if result is each.centred
                else "",
                f"{result.metrics.correlation.tokens:,}",
                f"{result.metrics.correlation.pairs:,}",
            ):
                assert value in page.text, value
    assert "2 beyond the tokens counted" in page.text
    assert "with too little support" in page.text
    assert "psi_pre and the output embedding" in page.text
    assert "tied with the other one" in page.text


def test_provenance_is_shown_and_escaped(page: Reader) -> None:
    assert "docs & <b>others</b>.safetensors" in page.text
    assert "V 40, kinds a; b, folded no" in page.text
    assert "undefined" in page.text
    assert not page.all("b")


def test_the_numbers_as_json(folder: Path, measured: list[Measured]) -> None:
    text = (folder / "report.json").read_text("utf-8")
    told = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert told["provenance"]["counts"] == "docs & <b>others</b>.safetensors"
    assert told["provenance"]["share"] is None
    assert [each["signature"] for each in told["comparisons"]] == ["phi_next", "psi_pre"]
    for fields, each in zip(told["comparisons"], measured, strict=True):
        for kind, result in (("raw", each.raw), ("mean_centred", each.centred)):
            got = fields[kind]
            assert got["metrics"]["correlation"]["pearson"] == result.metrics.correlation.pearson
            assert got["null"]["values"] == result.null.values.tolist()
            assert got["null"]["z"] == result.null.z
            assert got["banded_null"]["p_value"] == result.banded_null.p_value
            assert got["strong_pairs"]["signature_lift"] == result.strong_pairs.signature_lift
    assert told["comparisons"][1]["embedding"]["tied"] is True
    assert sorted(told["files"]) == sorted(
        path.name for path in folder.iterdir() if path.name != "report.json"
    )


def test_the_same_figures_are_the_same_pictures(measured: list[Measured], tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for path in (first, second):
        write_measured(path, measured[:1], settings(), {})
    for name in first.glob("*.png"):
        assert name.read_bytes() == (second / name.name).read_bytes()


def test_undefined_figures_are_said(tmp_path: Path) -> None:
    """All embeddings alike: every figure of the embedding is undefined, and the page is whole."""
    case = comparison()
    W = np.ones_like(case.W)
    W[case.signature.tokens[0]] = 2.0  # less the mean it is opposite to all others, and those alike
    write_report(tmp_path / "out", [replace(case, W=W)], settings())
    page = Reader((tmp_path / "out" / "report.html").read_text("utf-8"))
    assert "undefined" in page.text
    assert "nan" not in page.text.replace("\x00", "").lower().split()
    told = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert told["comparisons"][0]["raw"]["metrics"]["correlation"]["pearson"] is None


def test_without_strings_tokens_are_ids(tmp_path: Path) -> None:
    case = comparison()
    plain = replace(case.signature.signature, token_strings=None)
    from probsig_fast.alignment import prepare

    write_report(tmp_path / "out", [replace(case, signature=prepare(plain))], settings())
    page = Reader((tmp_path / "out" / "report.html").read_text("utf-8"))
    assert re.search(r"#\d+", page.text)
    assert not (tmp_path / "out" / "phi_next-input-groups.png").exists()
    assert (tmp_path / "out" / "phi_next-input-frequent.png").exists()


def test_own_groups_and_what_they_lack() -> None:
    own = settings(groups={"<mine>": ["0", "1", 5, "absent"], "none": ["no"]}, own_groups=True)
    block = groups(measure(comparison(), own), "x", own)
    assert any("<mine>: absent; none: no." in text for text in block.text)
    (table,) = block.tables
    assert [row[:2] for row in table.rows] == [["<mine>", "3 of 4"], ["none", "0 of 1"]]
    assert table.rows[1][2:] == ["undefined"] * 4
    assert [picture.file for picture in block.pictures] == ["x-groups.png", "x-frequent.png"]


def test_means_of_groups_against_brute_force() -> None:
    own = settings(groups={"a": ["0", "1", "2"], "b": [" if", " for"]}, own_groups=True)
    measured = measure(comparison(), own)
    found = measured.groups
    (table,) = groups(measured, "x", own).tables
    for row, inside in zip(table.rows, ([0, 1, 2], [3, 4]), strict=True):
        outside = [i for i in range(5) if i not in inside]
        for cells, cosines in ((row[2:4], found.centred), (row[4:6], found.signature)):
            within = np.mean([cosines[i, j] for i in inside for j in inside if i != j])
            others = np.mean([cosines[i, j] for i in inside for j in outside])
            assert cells == [f"{within:.3f}", f"{others:.3f}"]


def test_many_groups_are_split_between_heatmaps() -> None:
    own = settings(groups={f"g{i}": list(range(20, 32)) for i in range(5)}, own_groups=True)
    block = groups(measure(comparison(), own), "x", own)
    *parts, _ = block.pictures
    assert [picture.file for picture in parts] == ["x-groups.png", "x-groups2.png"]
    assert [picture.caption for picture in parts] == [
        "48 tokens: g0 (12), g1 (12), g2 (12), g3 (12).",
        "12 tokens: g4.",
    ]


def test_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for _ in range(2):  # an empty one, and an earlier report's
        files = write_report(out, [comparison()], settings())
        assert files[0] == out / "report.html"
        assert all(path.is_file() for path in files)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    for path in ("file", "full", "no/out"):
        with pytest.raises(ArgumentError, match=f"--report: expected .*{path}"):
            write_report(tmp_path / path, [comparison()], settings())
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_pictures_of_an_earlier_report_are_removed(
    measured: list[Measured], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_measured(out, measured, settings(), {})
    told = json.loads((out / "report.json").read_text())
    (tmp_path / "beside.png").write_text("mine")
    (out / "mine.png").write_text("mine")
    (out / "report.json").write_text(json.dumps({"files": [*told["files"], "../beside.png", 7]}))
    files = write_measured(out, measured[:1], settings(), {})
    assert sorted(out.iterdir()) == sorted([*files, out / "mine.png"])
    assert (tmp_path / "beside.png").is_file()
    for damaged in ("{", "[]", "{}", '{"files": 1}'):
        (out / "report.json").write_text(damaged)
        _remove_pictures(out)
        assert len(list(out.iterdir())) == len(files) + 1


def test_no_comparisons(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="comparisons: expected at least one, got none"):
        write_report(tmp_path / "out", [])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_missing_extras_are_said_first(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"needs {package}.*probsig-fast\[report\]"):
        write_report(tmp_path / "out", [comparison()])
    assert not (tmp_path / "out").exists()


def test_settings_default_to_the_built_in_groups() -> None:
    assert "digits" in Settings().groups
    assert not Settings().own_groups


def test_text_of_cells() -> None:
    assert token_cell(3, None) == Token("#3", 3)
    assert token_cell(0, ["\n"]) == Token(r"\n", 0)
    rows = [["x", Token("t", 1), "y", "z"]]
    assert Table("", ["", "a", "b", "c"], rows).left == {0, 1}
    assert Table("", ["", "a", "b", "c"], rows, words=frozenset({3})).left == {0, 1, 3}
    assert plain({"a": [1234, 0.5, None], "b": float("nan")}) == "a 1,234; 0.5; -, b undefined"


def test_a_page_of_nothing_but_its_frame() -> None:
    empty = Table("none", ["a"], [])
    page = Reader(render(Page("<t>", ["lead & more"], empty, [], empty), {}))
    assert "lead & more" in page.text
    assert "<t>" in page.text


def test_finite() -> None:
    value = {"a": [1.0, float("nan")], "b": (float("inf"), "nan"), "c": {"d": None}, "e": 2}
    assert finite(value) == {"a": [1.0, None], "b": [None, "nan"], "c": {"d": None}, "e": 2}
