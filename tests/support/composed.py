"""compose/compose.yaml as tests read it, and its parts with other addresses than those inside."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "compose"
OURS = "tailrace:local"


def composed() -> dict[str, Any]:
    """The file with its anchors resolved."""
    with (FOLDER / "compose.yaml").open() as file:
        return yaml.safe_load(file)


def own_services() -> dict[str, dict[str, Any]]:
    """Those that run our image."""
    return {name: service for name, service in composed()["services"].items() if service["image"] == OURS}


def make_secrets(folder: Path) -> dict[str, str]:
    """What `compose/secrets.sh` makes there: contents by name."""
    subprocess.run([FOLDER / "secrets.sh", folder], check=True, timeout=30)
    return {path.name: path.read_text() for path in folder.iterdir()}


def unescaped(text: str) -> str:
    """As the container gets it: Compose would replace a single dollar."""
    return text.replace("$$", "$")
