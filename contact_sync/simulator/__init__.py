"""A twin of Genesys Cloud External Contacts and a sample CRM, for trying and testing.

It shares no code with the client, so that neither can hide the other's mistakes.
"""
