"""What must survive a crash: tables, store, frames (one Parquet file per window), migrations.

Nothing here knows the CRM or Genesys Cloud.
"""
