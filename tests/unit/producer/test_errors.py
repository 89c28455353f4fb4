"""Every error of the SDK has a code, and every code is explained to those who meet it."""

import importlib
import pkgutil
from pathlib import Path

import pytest

import tailrace.producer
from tailrace.errors import TailraceError
from tailrace.producer import CloseIncomplete, EventRefused, NotDelivered
from tailrace.schemas.refusals import RefusalCode

PAGE = Path(__file__).parents[3] / "docs/producers.md"
for module in pkgutil.iter_modules(tailrace.producer.__path__, "tailrace.producer."):
    importlib.import_module(module.name)


def below(error: type[TailraceError]) -> set[type[TailraceError]]:
    return {error}.union(*(below(inner) for inner in error.__subclasses__()))


OURS = sorted(
    (error for error in below(TailraceError) if error.__module__.startswith("tailrace.producer")),
    key=lambda error: error.__name__,
)


@pytest.mark.parametrize("error", [it for it in OURS if it is not EventRefused], ids=lambda error: error.__name__)
def test_an_error_has_a_code_of_its_own_that_the_page_explains(error: type[TailraceError]):
    code = getattr(error, "code")  # noqa: B009 - the attribute is what is in question
    assert [it for it in OURS if vars(it).get("code") == code] == [error]
    assert f"| `{code}` | `{error.__name__}` |" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("code", RefusalCode)
def test_a_refusal_carries_a_code_of_the_contract_that_the_page_explains(code: RefusalCode):
    assert EventRefused(code, "data.name: missing").code == code
    assert f"| `{code}` | {code.meaning} |" in PAGE.read_text("utf-8")


def test_every_public_error_is_one_of_these():
    public = {getattr(tailrace.producer, name) for name in tailrace.producer.__all__}
    errors = {it for it in public if isinstance(it, type) and issubclass(it, BaseException)}
    assert errors == set(OURS)
    assert {EventRefused, NotDelivered, CloseIncomplete} <= errors
