"""Sentences: names from outside are fit to be read, and nothing else goes with them."""

from dubseedd.core.sentence import quoted, shown, signed_by


def test_names_are_shown_fit_for_a_terminal() -> None:
    assert shown("plain é.txt") == "plain é.txt"
    assert shown("a\x1b[2Jb\n\udcff\u202e").isprintable()
    assert len(shown("x" * 5000)) < 300


def test_a_name_in_quotation_marks_has_them_once() -> None:
    assert quoted("plain é.txt") == "'plain é.txt'"
    assert quoted("a\nb") == r"'a\nb'"


def test_a_sentence_names_the_signer_where_there_is_one() -> None:
    assert (signed_by("ops"), signed_by("")) == (", signed by ops", "")
