"""Master data 主数据: one catalogue for the whole hospital, in versions with an effective time.

An entry is published, superseded by a later version, and at last retired in favour of a
successor; nothing is ever edited. Each version is a fact with a place in its domain's ordered
change log: boards keep read copies fed by these facts, and catch up by asking for everything
after the last place they know.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from plugward.kernel import Conflict, Event, Invalid, Message, NotFound, command, contract, query
from plugward.kit.message import Plain
from plugward.kit.money import Money, UnitPrice
from plugward.kit.time import Instant
from plugward.vocabulary import InsuranceClass


class Domain(StrEnum):
    """One catalogue 目录."""

    CAMPUS = "campus"  # 院区
    DEPARTMENT = "department"  # 科室
    DRUG = "drug"  # 药品
    LAB_ITEM = "lab_item"  # 检验项目
    LAB_PANEL = "lab_panel"  # 检验组合
    EXAM_ITEM = "exam_item"  # 检查项目
    TREATMENT = "treatment"  # 治疗与指导
    CONSUMABLE = "consumable"  # 耗材
    CHARGE_ITEM = "charge_item"  # 其他收费项目，插板自带的（如膳食）
    REGISTRATION_FEE = "registration_fee"  # 挂号诊查费
    FREQUENCY = "frequency"  # 频次
    ROUTE = "route"  # 给药途径
    DIAGNOSIS = "diagnosis"  # 诊断 ICD-10


class InsuranceShare(Message):
    """What the insurer carries of an item 医保分担. Simulated figures, no insurer's.

    The patient first pays ``self_ratio`` of the amount; of the rest the fund pays
    ``fund_ratio``; ``supplement`` is added per whole unit for chronic disease (门特补充), at most
    what is left.
    """

    insurance_class: InsuranceClass
    self_ratio: Decimal
    fund_ratio: Decimal
    supplement: Money
    is_simulated: bool = True


class Attribute(Message):
    """One further fact about an entry, named as in the domain's documentation."""

    name: Plain
    value: Plain


class Draft(Message):
    """What an entry shall say from ``valid_from`` on (from now, if none is given).

    A first version may start in the past; a later one may not, because what was priced is priced.
    """

    code: Plain
    name_zh: Plain
    name_en: Plain = ""
    attributes: tuple[Attribute, ...] = ()
    unit: Plain = ""  # what one of it is: 盒, 次, 支
    price: UnitPrice | None = None
    insurance: InsuranceShare | None = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None
    replaces_scheduled: bool = False  # also supersede versions that have not taken effect yet


class Entry(Message):
    """One version of one catalogue entry. ``sequence`` is its place in the domain's change log.

    In force at an instant is the highest version whose ``valid_from`` is not after it, unless that
    version is retired or its ``valid_to`` has come.
    """

    domain: Domain
    code: Plain
    version: int
    sequence: int
    name_zh: Plain
    name_en: Plain
    pinyin: Plain  # initials of the Chinese name, upper case: 氨氯地平片 → ALDPP
    attributes: tuple[Attribute, ...]
    unit: Plain
    price: UnitPrice | None
    insurance: InsuranceShare | None
    valid_from: Instant
    valid_to: Instant | None
    is_retired: bool = False
    successor: Plain | None = None

    @property
    def key(self) -> str:
        """``domain:code``, the ordering key of its facts."""
        return f"{self.domain.value}:{self.code}"

    def attribute(self, name: str, default: str = "") -> str:
        """The value of one attribute, or ``default``."""
        return next((a.value for a in self.attributes if a.name == name), default)


class Retirement(Message):
    """A request to take an entry out of use from ``at`` on (from now, if none is given)."""

    domain: Domain
    code: Plain
    reason: Plain
    successor: Plain | None = None
    at: Instant | None = None


class EntryPublished(Event, tag="masterdata.entry.published.v1", key="entry.key"):
    """A version was published. It may take effect later: look at ``entry.valid_from``."""

    entry: Entry


class Change(StrEnum):
    """What publishing a draft would do."""

    NEW = "new"  # 新增
    CHANGED = "changed"  # 变更
    REVIVED = "revived"  # 恢复使用
    UNCHANGED = "unchanged"  # 无变化


class FieldChange(Message):
    field: Plain
    before: Plain
    after: Plain


class Difference(Message):
    """One draft against the latest version of its entry."""

    code: Plain
    change: Change
    changes: tuple[FieldChange, ...]


class Preview(Message):
    """What an import would change. ``digest`` names exactly these differences."""

    domain: Domain
    differences: tuple[Difference, ...]
    digest: Plain


class Publication(Message):
    """What was published: unchanged drafts make no new version."""

    domain: Domain
    published: tuple[Entry, ...]
    unchanged: int
    last_sequence: int


class EntryNotFound(NotFound):
    """主数据中没有有效的条目 {entry}。"""

    domain: Domain
    entry: Plain


class CodeTaken(Conflict):
    """收费编码 {entry} 已被目录“{domain}”使用。"""

    entry: Plain
    domain: Domain


class EffectiveInThePast(Invalid):
    """{entry} 的新版本不能从过去生效，已计价的不再改变。"""

    entry: Plain


class DraftFault(StrEnum):
    """What can be wrong with a draft."""

    CODE = "code-malformed"  # 编码格式不对
    NAME = "name-missing"  # 没有名称
    TWICE = "code-twice"  # 同一批中重复
    PRICE_MISSING = "price-missing"  # 收费条目没有价格
    PRICE_NEGATIVE = "price-negative"  # 价格为负
    NOT_CHARGED = "domain-not-charged"  # 该目录不收费，却有价格或医保
    SHARE = "insurance-share"  # 医保比例不在 0 与 1 之间，或补充为负
    PERIOD = "ends-before-it-starts"  # 失效早于生效
    TOO_MANY = "too-many"  # 一次超过 1,000 条


class InvalidDraft(Invalid):
    """条目 {entry} 不合法：{fault}。"""

    entry: Plain
    fault: DraftFault


class ScheduledVersion(Conflict):
    """{entry} 已有 {valid_from} 起生效的新版本；如要取代它，请明确说明。"""

    entry: Plain
    valid_from: Instant


class DifferencesNotSeen(Conflict):
    """批量导入须先查看差异；目录在查看之后已有变化，或尚未查看。"""

    domain: Domain


@contract("masterdata")
class MasterData(Protocol):
    """The catalogues: what exists, what it is called, what it costs, and from when on."""

    @query(permission="masterdata.read", audited=False)
    async def entries(self, domain: Domain, after: int, limit: int) -> tuple[Entry, ...]:
        """The domain's change log after a place in it, oldest first, at most 1,000 versions.

        Push is only a hint; whoever asks again from the last ``sequence`` it has misses nothing.
        """
        ...

    @query(permission="masterdata.read", audited=False)
    async def entry_at(self, domain: Domain, code: Plain, instant: Instant) -> Entry:
        """The version in force at an instant. Refuses with ``EntryNotFound``."""
        ...

    @query(permission="masterdata.read", audited=False)
    async def in_force(
        self, domain: Domain, after_code: Plain = "", limit: int = 200
    ) -> tuple[Entry, ...]:
        """What is in force now, by code, after a code, at most 1,000 entries."""
        ...

    @query(permission="masterdata.read", audited=False)
    async def search(self, domain: Domain, text: Plain, limit: int = 20) -> tuple[Entry, ...]:
        """Entries in force now whose code starts with the text, or whose pinyin initials, Chinese
        or English name hold it; the closest first, at most 50."""
        ...

    @query(permission="masterdata.read", audited=False)
    async def preview(self, domain: Domain, drafts: tuple[Draft, ...]) -> Preview:
        """What publishing these drafts (at most 1,000) would change. Refuses with
        ``InvalidDraft``, ``CodeTaken``, ``ScheduledVersion`` or ``EffectiveInThePast``."""
        ...

    @command(permission="masterdata.publish")
    async def publish(
        self, domain: Domain, drafts: tuple[Draft, ...], reason: Plain, seen: Plain = ""
    ) -> Publication:
        """Publish drafts as new versions, all or none. More than 20 at once need ``seen``, the
        digest of the ``Preview`` that somebody looked at. Refuses with ``DifferencesNotSeen``,
        ``InvalidDraft``, ``CodeTaken``, ``ScheduledVersion`` or ``EffectiveInThePast``."""
        ...

    @command(permission="masterdata.publish")
    async def retire(self, request: Retirement) -> Entry:
        """Take an entry out of use by a last version that names its successor; versions that were
        scheduled after it are superseded. Refuses with ``EntryNotFound`` (also for an unknown
        successor) or ``EffectiveInThePast``."""
        ...
