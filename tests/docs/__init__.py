"""Tests of the papers: requirements and what covers them, the protocol's document, generated pages."""
