"""A twin of Dataverse, the data platform of Dynamics 365: its Web API over one table of contacts, on loopback.

Written from Microsoft's documentation; it shares no code with the source that reads it.
"""
