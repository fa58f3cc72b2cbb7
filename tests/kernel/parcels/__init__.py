"""Parcels 收发室: a board without medicine, to test the kernel with."""
