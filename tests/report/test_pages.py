"""Both pages in a real browser without a network: figures, controls, keyboard and mouse."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, find_chromium
from report_world import COMMON, DEATHS, FIRST_STAY, SURVIVORS

from icu_adversarial.core.paths import EXPLORER, REPORT

DRAWN = "window.views && Object.keys(views).length == document.querySelectorAll('.chart').length"
MARKS = r"/aria-roledescription=\"(bar|rect mark|line mark|point|rule mark|text mark)\"/"
# The controls, each with its figure and the position among those of the figure.
CONTROLS = """[...document.querySelectorAll('.chart')].flatMap(chart =>
  [...chart.querySelectorAll('.vega-bind')].map((bind, place) => [chart.id, place]))"""
FOCUSABLE = """[...document.querySelectorAll('a, button, select, input, summary, [tabindex="0"]')]
  .filter(e => e.offsetParent && !e.disabled && !(e.type == 'radio' && !e.checked))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(find_chromium(), tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def report(browser: Browser, made: Path) -> Browser:
    """A browser that shows the report. It has asked for this file alone, and met no error."""
    return opened(browser, made / REPORT)


@pytest.fixture
def explorer(browser: Browser, made: Path) -> Browser:
    return opened(browser, made / EXPLORER)


def opened(browser: Browser, page: Path) -> Browser:
    browser.errors.clear()
    browser.requests.clear()
    browser.open(page, DRAWN)
    assert not browser.errors
    assert [address for address in browser.requests if not address.startswith("data:")] == [
        page.as_uri()
    ]
    return browser


def test_every_figure_is_drawn(report: Browser) -> None:
    drawn = report.run(
        f"[...document.querySelectorAll('.chart')].map(c => [c.id, {MARKS}.test(c.innerHTML)])"
    )
    assert [name for name, has_marks in drawn if not has_marks] == []
    assert {name for name, _ in drawn} == {
        *("cohort-chart", "coverage-chart", "scores-chart", "subgroups-chart"),
        *("reliability-chart", "map-chart", "ranking-robust_l1", "ranking-robust_l0"),
        *("groups-chart", "curves-chart"),
    }


def test_no_figure_is_wider_than_a_window_of_1400_pixels(report: Browser) -> None:
    assert report.run("document.documentElement.scrollWidth") <= 1400
    wide = (
        "[...document.querySelectorAll('figure .scroll')]"
        ".filter(f => f.scrollWidth > f.clientWidth + 1).length"
    )
    assert report.run(wide) == 0


def test_every_control_of_a_figure_works_with_the_keyboard(report: Browser) -> None:
    controls = report.run(CONTROLS)
    assert len(controls) == 5 + 2 + 3 + 4  # map, scores of groups, groups, curves
    for chart, place in controls:
        bind = f"document.querySelectorAll('#{chart} .vega-bind')[{place}]"
        picture = f"document.querySelector('#{chart} svg').outerHTML"
        report.run(f"window.before = {picture}, 0")
        kind = report.run(
            f"(() => {{ const e = {bind}.querySelector('input:checked, select, input'); e.focus();"
            " return e.type + ' ' + (e.selectedIndex > 0 || e.value == e.max) })()"
        )
        key = ("ArrowUp", 38) if kind.endswith("true") else ("ArrowDown", 40)
        if kind.startswith("range"):
            key = ("ArrowLeft", 37) if kind.endswith("true") else ("ArrowRight", 39)
        report.press(*key)
        report.wait(f"{picture} != window.before")
    assert not report.errors


def test_tab_reaches_everything(report: Browser) -> None:
    report.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    expected = report.run(
        f"(() => {{ window.all = {FOCUSABLE}; window.seen = new Set(); return all.length }})()"
    )
    assert expected > 50
    for _ in range(expected):
        report.press("Tab", 9)
        report.run("seen.add(document.activeElement), 0")
    missed = report.run("all.filter(e => !seen.has(e)).map(e => e.outerHTML.slice(0, 120))")
    assert missed == []


def test_the_mouse_shows_the_numbers_of_a_cell(report: Browser) -> None:
    bin_, column = COMMON
    report.run("document.getElementById('map-chart').scrollIntoView(), 0")
    x, y = report.run(
        "(() => { const cell = [...document.querySelectorAll('#map-chart svg path')].find(p =>"
        f" p.__data__?.datum?.hour == {bin_} && p.__data__?.datum?.m == {column});"
        " const box = cell.getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2] })()"
    )
    report.move(x, y)
    report.wait("document.querySelector('#vg-tooltip-element.visible')")
    said = report.run("document.querySelector('#vg-tooltip-element').innerText")
    assert "pCO₂ (mmHg)" in said
    assert f"{bin_} to {bin_ + 1}" in said
    assert f"{SURVIVORS - 1}" in said  # patients; one attack failed
    assert " to 0." in said  # the interval


def test_motion_stops_for_those_who_ask(report: Browser) -> None:
    rule = (
        "[...document.styleSheets].flatMap(s => [...s.cssRules])"
        ".filter(r => r.media?.mediaText.includes('reduced-motion')).length"
    )
    assert report.run(rule) == 1
    assert report.run("document.getAnimations().length") == 0


def test_the_explorer_shows_the_change_of_a_patient(explorer: Browser) -> None:
    number = "document.getElementById('patient').options.length"
    assert explorer.run(number) == SURVIVORS - 1  # one attack failed
    explorer.run("part('who').value = 1, part('who').onchange(), 0")
    assert explorer.run(number) == DEATHS
    assert explorer.run("document.querySelectorAll('#changes tr').length") >= 1
    assert explorer.run("document.getElementById('previous').disabled") is True
    before = explorer.run("document.getElementById('about').textContent")
    assert f"Stay {FIRST_STAY // 1000}" in before
    explorer.run("document.getElementById('next').focus(), 0")
    explorer.press("Enter", 13)
    explorer.wait(f"document.getElementById('about').textContent != {before!r}")
    rows = explorer.run(
        "[...document.querySelectorAll('#changes tr')]"
        ".map(r => [...r.cells].map(c => c.textContent))"
    )
    common = next(row for row in rows if "pCO₂" in row[0])
    assert common[1] == f"{COMMON[0]} to {COMMON[0] + 1}"
    read, after = float(common[3]), float(common[4])
    assert 3 < after - read < 8  # 10 clinical units are one unit of the model
    explorer.wait("document.querySelector('#records svg')")
    points = explorer.run(
        "document.querySelectorAll('#records [aria-roledescription=\"point\"]').length"
    )
    marked = explorer.run(  # the measured points, and a ring for each change
        "found[part('patient').value].series.flatMap("
        "s => [...s.recorded.filter(v => v !== null), ...s.edited]).length"
    )
    assert points == marked
    assert not explorer.errors


def test_every_control_of_the_explorer_works_with_the_keyboard(explorer: Browser) -> None:
    for control in ("patient", "who", "goal"):
        state = "part('records').innerHTML + part('patient').innerHTML + part('about').innerHTML"
        before = explorer.run(f"(part('{control}').focus(), part('{control}').value)")
        explorer.press("ArrowDown", 40)
        explorer.wait(f"part('{control}').value != {before!r}")
        assert explorer.run(f"({state}).length") > 0
        assert explorer.run("found[part('patient').value].stay > 0")
    assert not explorer.errors
