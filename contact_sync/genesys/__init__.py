"""Where contacts go: a client for Genesys Cloud External Contacts.

Nothing here knows the CRM or the state database.
"""
