"""Leaves out of a run of pytest the tests that a list names, and nothing else: pytest's own --deselect takes all tests whose names begin so.

A line is the name of a test and the reason. A name without [...] means the test with each of its parameters. With `(version 2)` or
`(version 3)` between name and reason it is left out with that version of the protocol only. A line that names no test ends the run: nothing
is left out by a name that has become stale."""

import re

import pytest

LINE = re.compile(r"(?P<name>\S+?::[^\s\[]+(?:\[.*?\](?= ))?) (?:\(version (?P<version>[23])\) )?(?P<reason>\S.*)")


def pytest_addoption(parser):
    parser.addoption("--left-out", help="the list of the tests that are left out")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    path = config.getoption("--left-out")
    if not path:
        return
    version = config.getoption("--protocol", default=None)
    names = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            match = LINE.fullmatch(line)
            if not match:
                raise pytest.UsageError(f"{path}:{number}: not the name of a test and a reason: {line}")
            names[match["name"]] = match["version"] in (None, version)
    seen, kept, left_out = set(), [], []
    for item in items:
        found = [name for name in (item.nodeid, item.nodeid.split("[")[0]) if name in names]
        seen.update(found)
        (left_out if any(names[name] for name in found) else kept).append(item)
    if stale := sorted(set(names) - seen):
        raise pytest.UsageError(f"{path} names tests that there are not: " + ", ".join(stale))
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept
