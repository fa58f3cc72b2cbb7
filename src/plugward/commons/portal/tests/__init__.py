"""Tests of the portal: what a browser, a system and an attacker get to see."""
