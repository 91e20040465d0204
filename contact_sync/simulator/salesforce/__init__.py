"""A twin of a Salesforce organisation: OAuth, REST queries, Bulk API 2.0 query jobs, getDeleted and describe.

It shares no code with the source that reads it.
"""
