"""One use case per asset: extract, normalize, match, deliver, report.

Plain functions over the rooms below; nothing here knows Dagster.
"""
