"""Case 65: events of every version, in the log beside each other, lead to equal rows."""

from contract_events import Given
from worlds import Tell


async def test_integrations_of_all_three_versions_have_equal_rows(given: Given, told: Tell):
    old = [given.integration("installed", f"g{number}", time="12:01", seq=1, last_error="502") for number in (1, 2, 3)]
    shapes = [{}, {"app": {"app_id": "b", "name": "Bot", "publisher": "Bots"}}, {"app": {"app_id": "b", "name": "Bot"}}]
    shapes[2]["health"] = {"status": "active", "last_error": "502", "since": "2026-11-20T11:00:00Z"}
    events = [
        event | {"schemaversion": number, "data": _moved(event["data"], shape)}
        for number, (event, shape) in enumerate(zip(old, shapes, strict=True), 1)
    ]

    rows = await told(*events)

    first, second, third = (rows.row("integrations", f"g{number}") | {"integration_id": ""} for number in (1, 2, 3))
    assert first == second == third
    assert (first["app_name"], first["status"], first["last_error"]) == ("Bot", "active", "502")


def _moved(data: dict, shape: dict) -> dict:
    """The same data with what the objects of `shape` hold taken out of it."""
    names = {"app": {"app_id", "app_name"}, "health": {"status", "last_error"}}
    gone = {name for shaped in shape for name in names[shaped]}
    return {name: value for name, value in data.items() if name not in gone} | shape
