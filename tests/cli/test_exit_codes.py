from collections import Counter

from autotune.cli.exit_codes import EXIT_CODES, ExitCode, all_meanings, meanings_for


def test_every_code_stands_in_the_table_once_for_each_command() -> None:
    assert {one.code for one in EXIT_CODES} == set(ExitCode)
    assert [one.code for one in EXIT_CODES] == sorted(one.code for one in EXIT_CODES)
    pairs = Counter((one.code, name) for one in EXIT_CODES for name in one.commands or ("all",))
    assert max(pairs.values()) == 1


def test_the_codes_are_those_that_scripts_rely_on() -> None:
    assert {int(code): code.name for code in ExitCode} == {
        0: "ANSWERED",
        1: "MISSED",
        2: "MISTAKE",
        3: "DIFFERS",
        4: "UNDECIDED",
        5: "STALE",
        70: "FAULT",
        130: "INTERRUPTED",
        141: "CLOSED",
        143: "TERMINATED",
    }


def test_a_command_lists_its_own() -> None:
    assert [code for code, _ in meanings_for("check")] == ["1", "3", "4", "5", "130", "143"]
    assert meanings_for("show") == []
    assert ("4", "measure, check: undecided, or the numbers are INVALID") in all_meanings()
