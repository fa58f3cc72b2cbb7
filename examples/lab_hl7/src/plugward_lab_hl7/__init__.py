"""Laboratory at a campus with another vendor's system, which speaks HL7 v2."""
