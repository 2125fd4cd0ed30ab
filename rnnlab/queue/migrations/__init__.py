"""The steps from each schema to the next, in order; a step that was released is never changed.

Revision 0001 is schema version 1, and so on. To change the schema: change `tables.py`, raise SCHEMA_VERSION, and add a
revision with the step; a test compares the outcome with a fresh database.
"""
