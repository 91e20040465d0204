"""Keeps Genesys Cloud External Contacts true to the CRM.

Import concrete modules directly (``from contact_sync.contacts.window import Window``); this file stays free
of imports so that loading the package costs nothing and wires nothing.
"""
