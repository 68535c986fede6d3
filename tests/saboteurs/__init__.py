"""Defects that are planted in the server at run time: the suite must catch every one, with a scenario named here."""
