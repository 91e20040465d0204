"""The domain, pure: windows, schemas, phones, mapping, identity, planning.

No I/O and no clock of its own belong here; every function takes what it needs as an argument.
"""
