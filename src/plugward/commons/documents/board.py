"""Shared documents 共享文档, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import proofs
from .contract import Documents
from .service import DocumentService
from .tables import tables

board = Board(
    contract=Documents,
    service=DocumentService,
    tables=tables,
    proofs=[proofs.shared_documents_never_change],
)
"""It calls no clinical board by import: what boards declare with ``@document`` it finds itself."""
