"""SOAP 1.1 and 1.2, document/literal: envelopes read with care, WSDL written, services called.

``envelope.py`` and ``wsdl.py`` stand alone; ``caller.py`` calls others by zeep.
"""
