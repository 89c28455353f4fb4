"""`tailrace topics`: the contract's topics in the broker."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.output import Output, OutputOption, note, print_json, print_table
from tailrace.settings import load_settings
from tailrace.telemetry import configure_logging

if TYPE_CHECKING:
    from tailrace.operations.topics import TopicPlan, TopicsPlan

AddPartitionsOption = Annotated[
    bool, typer.Option("--add-partitions", help="Add what is lacking; keys then move to other partitions.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]


def register(app: typer.Typer) -> None:
    """Add the noun and its verbs."""
    topics = typer.Typer(help="Create the contract's topics and keep them as they should be.", no_args_is_help=True)
    topics.command()(apply)
    topics.command()(plan)
    topics.command("ls")(list_topics)
    app.add_typer(topics, name="topics")


def apply(
    dry_run: DryRunOption = False,
    add_partitions: AddPartitionsOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create missing topics, mend configs that differ, wait for leaders. A second run changes nothing.

    Too few partitions are shown and left alone: with more of them a key's new events go to another partition than its
    old ones, so nothing keeps them in order. Stop the producers and let the workers catch up before `--add-partitions`.

    Example: `tailrace topics apply`
    """
    if dry_run:
        plan(output)
        return
    from tailrace.addresses import resolve
    from tailrace.operations import topics
    from tailrace.operations.audit import audited

    settings = load_settings()
    configure_logging(settings.log)
    with audited(settings, "topics apply", settings.kafka.topic_prefix, always=False) as entry:
        done = asyncio.run(topics.apply_topics(settings, resolve(settings).kafka, add_partitions=add_partitions))
        extended = len(done.to_extend) if add_partitions else 0
        changes = {"created": done.to_create, "configured": done.to_configure, "extended": done.to_extend[:extended]}
        entry.after = {what: [one.name for one in topics] for what, topics in changes.items() if topics}
    if output is Output.JSON:
        changed = len(done.to_create) + len(done.to_configure) + extended
        print_json({**_document(done), "changed": changed})
        return
    for topic in done.topics:
        mark = "+" if topic.missing else "~" if topic.differences else "✓"
        note(f" {mark} {topic.name}  {', '.join(topic.differences)}")
    note(f"{len(done.to_create)} created · {len(done.to_configure)} configured · {extended} extended")
    _warn(done, extended=add_partitions)


def plan(output: OutputOption = Output.TABLE) -> None:
    """Show what `topics apply` would do; changes nothing.

    Example: `tailrace topics plan -o json`
    """
    found = _plan()
    if output is Output.JSON:
        print_json(_document(found))
        return
    changing = [[topic.name, difference] for topic in found.topics for difference in topic.differences]
    if changing:
        print_table(["TOPIC", "DIFFERENCE"], changing)
    note(f"{len(found.to_create)} to create · {len(found.to_configure)} to configure")
    _warn(found, extended=False)


def list_topics(output: OutputOption = Output.TABLE) -> None:
    """List the contract's topics as the broker has them.

    Example: `tailrace topics ls`
    """
    found = _plan()
    if output is Output.JSON:
        print_json(_document(found))
        return
    print_table(
        ["TOPIC", "STATE", "PARTITIONS", "REPLICAS", "KEPT"],
        [
            [
                topic.name,
                "missing" if topic.missing else "differs" if topic.differences else "ok",
                topic.partitions_found,
                topic.replication_found,
                "for ever" if topic.retention_days is None else f"{topic.retention_days} d",
            ]
            for topic in found.topics
        ],
    )


def _plan() -> "TopicsPlan":
    from tailrace.addresses import resolve
    from tailrace.operations import topics

    settings = load_settings()
    configure_logging(settings.log)
    return asyncio.run(topics.plan_topics(settings, resolve(settings).kafka))


def _warn(plan: "TopicsPlan", *, extended: bool) -> None:
    if plan.to_extend and not extended:
        names = ", ".join(topic.name for topic in plan.to_extend)
        note(f"fewer partitions than set: {names}")
        note("  fix  tailrace topics apply --add-partitions; keys move then, see its --help")


def _document(plan: "TopicsPlan") -> dict[str, Any]:
    return {"topics": [_topic(topic) for topic in plan.topics]}


def _topic(topic: "TopicPlan") -> dict[str, Any]:
    return {
        "name": topic.name,
        "missing": topic.missing,
        "retention_days": topic.retention_days,
        "partitions": {"found": topic.partitions_found, "wanted": topic.partitions},
        "replication_factor": {"found": topic.replication_found, "wanted": topic.replication},
        "config": [{"name": it.name, "found": it.found, "wanted": it.wanted} for it in topic.configs],
    }
