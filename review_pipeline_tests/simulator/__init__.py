"""Tests of the offline API, mostly through the real SDK."""
