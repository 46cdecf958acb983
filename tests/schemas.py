"""The JSON Schemas that programs may rely on: `python -m tests.schemas` writes them into docs/reference/schemas."""

import importlib
import json
import pathlib
from typing import Any

import inspections
from ovs_pathfinder.diagnosis import verdict
from ovs_pathfinder.report import outcome

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "docs" / "reference" / "schemas"


def all_of_them() -> dict[str, dict[str, Any]]:
    """Return each schema by its file's name: of diagnosis and paths, and of the answer of each action that asks."""
    models: dict[str, Any] = {"diagnosis": verdict.Diagnosis, "paths": outcome.Outcomes}
    for action, module in inspections.MODULES.items():
        models[action] = importlib.import_module(f"ovs_pathfinder.inspection.{module}").Answer
    return {f"{name}.schema.json": model.model_json_schema(mode="serialization") for name, model in models.items()}


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name, schema in all_of_them().items():
        (FOLDER / name).write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
