"""Receivers 收件方: kinds of destinations that are loaded when they are used."""
