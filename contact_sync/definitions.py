"""What Dagster loads, and nothing else."""

from contact_sync.orchestration.build import build_definitions

defs = build_definitions()
