"""Pages in a real browser: what a person sees, clicks, filters and prints."""

import functools

import pytest

from fastnn.bench import page
from fastnn.reports import to_html

WIDTHS = (390, 1280)


class Opened:
    """A page in a window, with all that went wrong."""

    def __init__(self, browser, path, width, **settings):
        self.window = browser.new_page(viewport={"width": width, "height": 900}, **settings)
        self.wrong = []
        self.window.on("console", lambda message: self.wrong.append(message.text))
        self.window.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.window.on("request", self._note)
        self.window.on("dialog", lambda dialog: self.wrong.append(dialog.message))
        self.window.goto(path.as_uri())

    def _note(self, request):
        if not request.url.startswith(("file:", "data:")):
            self.wrong.append(request.url)

    def faults(self):
        """Return what is wrong with the page as it is drawn."""
        found = [*self.wrong]
        width = self.window.evaluate("document.documentElement.scrollWidth")
        if width > self.window.viewport_size["width"]:
            found.append(f"{width} pixels wide")
        if self.window.evaluate("[...document.images].some(i => !i.alt || !i.naturalWidth)"):
            found.append("a picture without text or without pixels")
        unnamed = "[...document.querySelectorAll('svg')].some(s => !s.ariaLabel)"
        if self.window.evaluate(unnamed):
            found.append("a figure without text")
        ids = self.window.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        if len(set(ids)) < len(ids):
            found.append("two elements of the same name")
        return found

    def column(self, table, number):
        """Return the texts of the rows that are shown."""
        rows = self.window.locator(table).first.locator("tbody tr:visible")
        return [row.locator("th, td").nth(number).inner_text() for row in rows.all()]


@pytest.fixture
def opened(browser):
    made = []

    def open_(path, width=1280, **settings):
        made.append(Opened(browser, path, width, **settings))
        return made[-1]

    yield open_
    for one in made:
        one.window.close()


@pytest.fixture
def report_page(attacked, tmp_path):
    net, x, _, reports = attacked
    to_html(reports, tmp_path / "report.html", x=x, net=net, about={"data": "noise"})
    return tmp_path / "report.html"


@pytest.fixture
def bench_page(tmp_path, document):
    text = page.page(document, [("first", document), ("second", document)])
    (tmp_path / "bench.html").write_text(text, encoding="utf-8")
    return tmp_path / "bench.html"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_the_screen_and_load_nothing(opened, report_page, bench_page, width, scheme):
    for path in (report_page, bench_page):
        one = opened(path, width, color_scheme=scheme)
        assert one.faults() == []
        for summary in one.window.locator("summary").all():
            summary.click()
        assert one.faults() == []
        assert one.window.locator("figure svg").first.bounding_box()["width"] > 200


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        ('<script src="https://example.org/a.js"></script>', "example.org"),
        ("<script>alert('ran')</script>", "Content Security Policy"),
        ('<img src="data:image/png;base64,x" alt="x">', "a picture without text or without pixels"),
        ('<div style="width:5000px">x</div>', "5"),
        ("<svg></svg>", "a figure without text"),
        ('<p id="report-0"></p>', "two elements of the same name"),
    ],
)
def test_faults_are_found(opened, report_page, planted, fault):
    text = report_page.read_text(encoding="utf-8")
    report_page.write_text(text.replace("<main>", f"<main>{planted}"), encoding="utf-8")
    found = opened(report_page).faults()
    assert any(fault in one for one in found)
    assert "ran" not in found


def test_names_are_text_and_no_script_runs(opened, attacked, tmp_path):
    net, x, _, reports = attacked
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    to_html(
        {evil: reports["both"]},
        tmp_path / "evil.html",
        x=x,
        net=net,
        class_names=[evil, "</style>", "'\""],
        title=evil,
        about={evil: evil},
    )
    one = opened(tmp_path / "evil.html")
    assert one.faults() == []
    assert one.window.locator("h1").inner_text() == evil
    assert one.window.title() == evil


def test_a_click_sorts_a_column_and_another_turns_it(opened, report_page, attacked):
    one = opened(report_page)
    table = "#report-0 details.long table"
    one.window.locator("#report-0 details.long summary").click()
    button = one.window.locator(table).get_by_role("button", name="sample", exact=True)
    before = one.column(table, 0)
    button.click()
    ascending = one.column(table, 0)
    assert ascending == sorted(before, key=int) != before
    head = one.window.locator(table).locator("th").first
    assert head.get_attribute("aria-sort") == "ascending"
    button.click()
    assert one.column(table, 0) == ascending[::-1]
    button.focus()
    one.window.keyboard.press("Enter")
    assert one.column(table, 0) == ascending


def test_text_and_lists_filter_rows_and_pictures(opened, report_page, attacked):
    *_, reports = attacked
    report = reports["both"]
    one = opened(report_page)
    part = one.window.locator("#report-0")
    part.locator("details.long summary").click()
    table = "#report-0 details.long table"
    tools = part.locator("details.long .tools")
    every = len(one.column(table, 0))
    assert every == report.attackable.sum()
    tools.get_by_label("true class").select_option("1")
    truth = (report.attackable & (report.labels == 1)).sum()
    assert one.column(table, 1) == ["1"] * truth
    assert tools.locator("output").inner_text() == f"{truth} of {every} rows"
    tools.get_by_label("true class").select_option("all")
    tools.get_by_label("Filter").fill("stands")
    assert set(one.column(table, 3)) <= {"stands"}
    gallery = part.locator(".gallery").first
    label = gallery.locator("figure").first.get_attribute("data-value")
    part.get_by_label("true class").first.select_option(label)
    shown = gallery.locator("figure:visible").all()
    assert shown
    assert {each.get_attribute("data-value") for each in shown} == {label}


def test_numbers_sort_as_numbers_in_the_benchmark(opened, bench_page, document):
    one = opened(bench_page)
    table = "section:nth-of-type(2) table"
    one.window.locator(table).first.get_by_role("button", name="ms").click()
    found = [float(text.replace(",", "")) for text in one.column(table, 6)]
    assert found == sorted(found)
    assert len(found) == len(document.cases)


def test_what_is_folded_is_printed_but_long_tables(opened, report_page):
    one = opened(report_page)
    script = "document.querySelectorAll('details:not([open])').length"
    closed = functools.partial(one.window.evaluate, script)
    before = closed()
    one.window.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert closed() == one.window.locator("details.long").count()
    one.window.evaluate("dispatchEvent(new Event('afterprint'))")
    assert closed() == before
    assert one.window.pdf(format="A4").startswith(b"%PDF")
