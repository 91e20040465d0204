"""The only room that speaks Dagster.

Import concrete modules directly; loading this package wires nothing.
"""
