"""Where contacts come from: the source interface and one module for each CRM.

Nothing here knows Genesys Cloud or the state database.
"""
