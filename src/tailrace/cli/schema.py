"""`tailrace schema`: the contract as documents, and what may change in it."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table

TypeArgument = Annotated[str, typer.Argument(metavar="TYPE", help="`collab.message.posted`, or without `collab.`.")]
VersionOption = Annotated[int | None, typer.Option("--version", help="Version of its data; the newest by default.")]
RootOption = Annotated[
    Path, typer.Option("--root", metavar="DIR", help="The project's folder, with `docs/` and its git history.")
]


def register(app: typer.Typer) -> None:
    """Add the noun and its verbs."""
    schema = typer.Typer(help="The contract: event types, JSON Schemas, AsyncAPI, compatibility.", no_args_is_help=True)
    schema.command("ls")(list_types)
    schema.command()(show)
    schema.command()(export)
    schema.command()(docs)
    schema.command()(check)
    app.add_typer(schema, name="schema")


def list_types(output: OutputOption = Output.TABLE) -> None:
    """List the event types with their newest version, topic and key.

    Example: `tailrace schema ls`
    """
    from tailrace.contract.asyncapi import key_in_words
    from tailrace.contract.readers import READERS
    from tailrace.schemas.catalogue import EVENT_TYPES

    kinds = EVENT_TYPES.values()
    if output is Output.JSON:
        print_json(
            {
                "types": [
                    {
                        "type": kind.name,
                        "version": kind.version,
                        "topic": kind.topic,
                        "key": list(kind.key),
                        "tables": list(READERS[kind.name].tables),
                    }
                    for kind in kinds
                ]
            }
        )
        return
    print_table(
        ["TYPE", "VERSION", "TOPIC", "KEY"],
        [[kind.name, kind.version, kind.topic, key_in_words(kind)] for kind in kinds],
    )


def show(
    type_: TypeArgument,
    version: VersionOption = None,
    sample: Annotated[bool, typer.Option("--sample", help="A whole event that fits, instead of the schema.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print the JSON Schema (draft 2020-12) of a type's events, or a sample of them.

    Example: `tailrace schema show message.posted --sample`
    """
    from tailrace.contract import event_schemas

    make = event_schemas.sample if sample else event_schemas.event_schema
    document = make(type_, version)
    if output is Output.JSON:
        print_json(document)
        return
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; made if need be.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Write all schemas, the AsyncAPI document and `contract.json`, which `check --against DIR` reads.

    Example: `tailrace schema export build/contract`
    """
    from tailrace.contract.documents import exported, write

    documents = exported()
    write(documents, folder)
    _report(output, {"folder": str(folder), "documents": len(documents)}, f"{len(documents)} documents in {folder}")


def docs(root: RootOption = Path(), output: OutputOption = Output.TABLE) -> None:
    """Write the documents that are committed: `docs/contract/` and `docs/catalogue.md`.

    Example: `tailrace schema docs`
    """
    from tailrace.contract.documents import DOCS, committed, leftovers, write

    documents = committed()
    changed = write(documents, root / DOCS)
    left = leftovers(root / DOCS, documents)
    for path in left:
        (root / DOCS / path).unlink()
    _report(
        output,
        {"changed": list(changed), "removed": list(left)},
        f"{len(changed)} changed · {len(left)} removed · {len(documents) - len(changed)} as they were",
    )


def check(
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="REF|DIR",
            help="A git revision or an exported folder or file; the last release by default.",
        ),
    ] = None,
    root: RootOption = Path(),
    output: OutputOption = Output.TABLE,
) -> None:
    """Say what breaks readers or producers of an earlier revision; exit 6 if anything does.

    Backward: readers of today read all that was published before. Forward: readers of then read what is published today
    under a version that they know.

    Example: `tailrace schema check --against main~10`
    """
    from tailrace.contract.compatibility import breaks
    from tailrace.contract.revision import RELEASED, contract, contract_of
    from tailrace.errors import InvalidInputError

    revision = against or str(root / RELEASED)
    found = breaks(contract_of(revision, root), contract())
    if output is Output.JSON:
        print_json({"against": revision, "compatible": not found, "breaks": [_break(it) for it in found]})
    elif found:
        columns = ["PROMISE", "WHERE", "PATH", "RULE", "OLD", "NEW", "WHY"]
        print_table(columns, [list(_break(it).values()) for it in found])
    if found:
        fix = "leave that version as it is and add a new one with an upcaster (docs/producers.md, Versions)"
        raise InvalidInputError(f"{len(found)} incompatible changes since {revision}", fix=fix)
    note(f"compatible with {revision}")


def _break(found: Any) -> dict[str, str]:
    return {name: getattr(found, name) for name in ("promise", "where", "path", "rule", "old", "new", "reason")}


def _report(output: Output, document: dict[str, Any], sentence: str) -> None:
    if output is Output.JSON:
        print_json(document)
    else:
        note(sentence)
