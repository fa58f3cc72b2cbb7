"""Clinic 门诊医生站. Start at ``board.py``; it offers pages and keeps drafts."""
