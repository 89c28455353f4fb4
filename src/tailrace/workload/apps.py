"""Apps that a workspace installs, changes and removes."""

from typing import Any

from tailrace.workload import kinds
from tailrace.workload.company import APPS_MAX, Company, Workspace
from tailrace.workload.messages import post
from tailrace.workload.writer import HOUR


def install_app(c: Company, w: Workspace) -> None:
    """An app is installed; one that was removed comes back under its old id."""
    dice, words = c.dice, c.words["company"]
    if w.removed_apps and dice.chance(0.5):
        app = w.removed_apps.pop() | {"status": "active"}
    elif len(w.apps) >= APPS_MAX:
        return remove_app(c, w)
    else:
        name = dice.pick(words["apps"])
        app = {
            "integration_id": c.writer.new_id(),
            "workspace_id": w.id,
            "app_name": name,
            "app_id": f"app-{name.lower().replace(' ', '-')}",
            "integration_type": dice.pick(("webhook", "oauth", "bot")),
            "config": {"interval_minutes": dice.pick((5, 15, 60)), "mention": dice.chance(0.3)},
            "scopes": dice.sample(words["scopes"], 1 + dice.below(4)),
            "channel_id": w.channels[0].id if dice.chance(0.6) else None,
            "status": "active",
            "installed_by": w.owner.id,
        }
    w.apps.append(app)
    return _publish(c, w, app, kinds.INTEGRATION_INSTALLED)


def change_app(c: Company, w: Workspace) -> None:
    """An app fails, is switched off, or works again after some hours."""
    if not w.apps:
        return install_app(c, w)
    app = c.dice.pick(w.apps)
    if c.dice.chance(0.5):
        app |= {"status": "error", "last_error": "502 from the app's server, three times"}
        c.agenda.add(c.later(HOUR, 9 * HOUR), _recover, c, w, app)
    else:
        app["status"] = "disabled" if app["status"] == "active" else "active"
    return _publish(c, w, app, kinds.INTEGRATION_UPDATED)


def _recover(c: Company, w: Workspace, app: dict[str, Any]) -> None:
    if app in w.apps and not w.deleted:
        app["status"] = "active"
        app.pop("last_error", None)
        _publish(c, w, app, kinds.INTEGRATION_UPDATED)


def remove_app(c: Company, w: Workspace) -> None:
    """An app is removed."""
    if not w.apps:
        return post(c, w)
    app = w.apps.pop(c.dice.below(len(w.apps)))
    w.removed_apps = [*w.removed_apps, app][-APPS_MAX:]
    data = {"integration_id": app["integration_id"], "workspace_id": w.id}
    return c.writer.emit(kinds.INTEGRATION_REMOVED, w.id, app["integration_id"], w.id, data)


def _publish(c: Company, w: Workspace, app: dict[str, Any], kind: kinds.Kind) -> None:
    c.writer.emit(kind, w.id, app["integration_id"], w.id, app)
