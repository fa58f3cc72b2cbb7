"""Documents from anywhere are checked through the contract; nothing here needs another board."""

import pytest

from plugward.commons.documents.board import board
from plugward.commons.documents.cda import write
from plugward.commons.documents.contract import (
    DocumentNotFound,
    Documents,
    KindUnknown,
    Severity,
)
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id

from .test_cda import LAUGHS, outpatient_record


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(board, transport=request.param)


async def test_a_partners_document_is_checked_with_places_to_mend(bench: Bench) -> None:
    """合格的文档没有意见；缺章节的说明缺哪一章。"""
    documents = bench.client(Documents)
    assert await documents.check(write(outpatient_record()).decode()) == ()
    bare = write(outpatient_record(sections=())).decode()
    found = await documents.check(bare)
    assert {finding.at for finding in found} == {
        "section 48765-2",
        "section 10154-3",
        "section 29548-5",
    }
    assert all(finding.severity is Severity.ERROR for finding in found)


async def test_hostile_documents_are_one_finding(bench: Bench) -> None:
    """实体炸弹不展开，只得到一条意见。"""
    for text in ("", "not xml", LAUGHS.decode()):
        [finding] = await bench.client(Documents).check(text)
        assert finding.severity is Severity.ERROR


async def test_without_boards_that_tell_there_is_nothing_to_write(bench: Bench) -> None:
    """没有插板提供内容：说明缺什么，不出空文档。"""
    documents = bench.client(Documents)
    assert await documents.kinds() == ()
    with pytest.raises(KindUnknown):
        await documents.write("C0002", new_id())
    with pytest.raises(DocumentNotFound):
        await documents.document(new_id())
