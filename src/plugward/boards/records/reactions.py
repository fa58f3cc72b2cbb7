"""What this board does when something happens elsewhere in the hospital."""

from plugward.commons.masterdata.contract import EntryPublished
from plugward.kernel import on

from .rules import diagnosis_of
from .service import RecordService


@on(EntryPublished)
async def learn_the_diagnoses(event: EntryPublished, records: RecordService) -> None:
    """主数据发布诊断目录的新版本，保存副本。"""
    diagnosis = diagnosis_of(event.entry)
    if diagnosis is not None:
        await records.learn_diagnosis(diagnosis)
