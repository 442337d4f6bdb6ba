"""Both looks of a page: text that fits, HTML that holds together and lets nothing break out."""

from html.parser import HTMLParser

import pytest
from results import EVIL

from autotune.present.document import (
    BLANK,
    BLOCK,
    Column,
    Line,
    Row,
    Table,
    as_html,
    as_text,
    fits,
)

TABLE = Table(
    [Column("load"), Column("what", right=False, wraps=True), Column("ms")],
    [Row(["5/s", "one two three four five six seven", "1.25"]), Row(["500/s", "x", "10"], "bad")],
)


class Checked(HTMLParser):
    """Collects what a browser would show, and refuses tags that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_columns_are_as_wide_as_they_need_to_be_and_wrap_where_they_may() -> None:
    assert as_text([TABLE], width=40) == (
        " load  what                           ms\n"
        "  5/s  one two three four five six  1.25\n"
        "       seven\n"
        "500/s  x                              10"
    )
    assert max(map(len, as_text([TABLE]).splitlines())) < 60


def test_sentences_are_wrapped_with_their_indent_and_blank_lines_stay() -> None:
    text = as_text([Line("  a few words"), BLANK, Line("end")], width=8)
    assert text == "  a few\n  words\n\nend"


def test_short_room_takes_space_then_spare_columns_but_never_a_digit() -> None:
    columns = [Column("load"), Column("p50", spare=2), Column("p95", spare=1), Column("p99")]
    table = Table(columns, [Row(["100/s", "10,029", "20,029", "30,029"])])
    assert as_text([table], width=29) == (
        " load     p50     p95     p99\n100/s  10,029  20,029  30,029"
    )
    assert as_text([table], width=28).splitlines()[1] == "100/s 10,029 20,029 30,029"
    assert as_text([table], width=24).splitlines()[1] == "100/s  20,029  30,029"
    assert as_text([table], width=15).splitlines()[1] == "100/s  30,029"
    assert as_text([table], width=5).splitlines()[1] == "100/s 30,029"
    assert [fits([table], width) for width in (29, 28)] == [True, False]


def test_of_several_columns_the_widest_wraps_first() -> None:
    columns = [Column("a", right=False, wraps=True), Column("b", right=False, wraps=True)]
    table = Table(columns, [Row(["one two three four five six", "seven eight"])])
    assert (
        as_text([table], width=30)
        == "a                  b\none two three      seven eight\nfour five six"
    )


def test_a_word_longer_than_its_column_is_folded_in_a_cell_and_whole_in_a_sentence() -> None:
    word = "".join(map(str, range(20)))
    table = Table([Column("", right=False, wraps=True), Column("")], [Row([word, "1"])])
    lines = as_text([table], width=22).splitlines()
    assert max(map(len, lines)) <= 22
    assert "".join(line.split()[0] for line in lines) == word
    assert as_text([Line(f"see {word} there")], width=10) == f"see\n{word}\nthere"
    assert as_text([Line("PASS  p99", "good")]) == "PASS  p99"


def test_bars_get_shorter_to_scale_and_none_vanishes() -> None:
    bars = Column("", right=False, bar=True)
    rows = [Row([BLOCK * 40, "9"]), Row([BLOCK * 20, "5"]), Row([BLOCK, "1"]), Row(["", "0"])]
    lines = as_text([Table([bars, Column("")], rows)], width=23).splitlines()
    assert [line.count(BLOCK) for line in lines] == [20, 10, 1, 0]
    assert {len(line) for line in lines} == {23}


def test_letters_that_take_two_columns_or_none_are_counted_as_such() -> None:
    table = Table(
        [Column("", right=False), Column("")], [Row(["模型", "1"]), Row(["e\u0301tat", "2"])]
    )
    assert as_text([table]) == "模型  1\ne\u0301tat  2"
    assert as_text([Line("模型 模型 模型")], width=9) == "模型 模型\n模型"


def test_a_line_break_in_a_cell_is_kept() -> None:
    table = Table([Column("a"), Column("b", right=False)], [Row(["1", "x\ny"])])
    assert as_text([table]) == "a  b\n1  x\n   y"
    assert "x<br>y" in as_html([table])


@pytest.mark.parametrize("part", [Line(EVIL), Table([Column(EVIL)], [Row([EVIL])])])
def test_no_name_breaks_out(part: Line | Table) -> None:
    page = Checked(as_html([part]))
    assert "script" not in page.seen
    assert "<script>alert('x')</script>&" in page.text
    for look in (as_text([part]), as_html([part])):
        look.encode()
        assert not {"\x1b", "\u202e"} & set(look)


def test_html_shows_what_the_text_shows() -> None:
    page = Checked(as_html([TABLE, BLANK, Line("5 < 6", "strong")]))
    assert page.seen == {"div", "table", "thead", "tbody", "tr", "th", "td", "p"}
    for text in ("load", "one two three four five six seven", "500/s", "5 < 6"):
        assert text in page.text
