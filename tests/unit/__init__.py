"""Tests of single modules: no database, no sockets, no clock."""
