"""Security 安全: the rows of the security checks that this deployment's own settings decide.

The other rows are decided by the program, the same in every deployment: the tests that are listed
in docs/operate/security.md show them.
"""

import json
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from plugward.kernel.check.fields import unclassed_texts
from plugward.kernel.check.parts import check_manifest

from ..discover import Found
from ..folder import DataFolder, HospitalSettings
from ..gate import Listeners, failed_checks, is_loopback
from .machine import read_only
from .verdict import Verdict, fault, ok, unknown

OTHERS = stat.S_IRWXG | stat.S_IRWXO
LOGINS = "demo-logins.json"


class House(NamedTuple):
    """What is looked at."""

    folder: DataFolder
    hospital: HospitalSettings
    found: Found

    @property
    def is_production(self) -> bool:
        return self.hospital.profile == "production"

    def setting(self, board: str, name: str) -> str:
        """What a board's setting is here: the file's word, or the manifest's default."""
        manifests = (b.manifest for b in self.found.boards if b.name == board)
        declared = next((m.settings[name].default for m in manifests if name in m.settings), "")
        return str(self.hospital.boards.get(board, {}).get(name, declared))

    @property
    def hl7_host(self) -> str:
        return self.setting("hub", "host") or "127.0.0.1"


def rows(folder: DataFolder, hospital: HospitalSettings, found: Found) -> Iterator[Verdict]:
    """A verdict for every row a machine can decide here."""
    house = House(folder, hospital, found)
    for id_, look in LOOKS.items():
        try:
            yield look(house, id_)
        except (OSError, ValueError, sqlite3.Error) as error:
            yield unknown(id_, f"看不了：{error}", f"cannot be looked at: {error}")


def _listeners(house: House, id_: str) -> Verdict:
    host = house.hl7_host
    if house.folder.is_demo and not is_loopback(host):
        return fault(
            id_,
            f"演示环境的 HL7 监听在 {host}",
            f"the demo's HL7 listener is on {host}",
            do=("[boards.hub] host 改为 127.0.0.1", "set host in [boards.hub] to 127.0.0.1"),
        )
    return ok(id_, "演示环境只监听本机", "a demo listens on this machine only")


def _gate(house: House, id_: str) -> Verdict:
    port = int(house.setting("hub", "mllp_port") or 0)
    at = Listeners(host=house.hl7_host, mllp_port=port, demo=house.folder.is_demo)
    problems = failed_checks(house.folder, house.hospital, at)
    if not problems:
        return ok(id_, "开院门禁通过", "the start-up gate lets it open")
    return fault(
        id_,
        f"开院门禁会拒绝 {len(problems)} 项：{problems[0]}",
        f"the start-up gate refuses {len(problems)} things: {problems[0]}",
        do=("按 plugward up 逐条提示改设置", "change the settings as plugward up says, one by one"),
    )


def _demo_apart(house: House, id_: str) -> Verdict:
    if house.is_production and house.folder.is_demo:
        return fault(
            id_,
            "生产医院用了演示数据目录",
            "a production hospital lies in a demo's folder",
            do=("换一个空目录开院（--data）", "begin with an empty folder (--data)"),
        )
    return ok(id_, "演示与生产的数据分开", "demo and production are apart")


def _logins(house: House, id_: str) -> Verdict:
    path = house.folder.path / LOGINS
    if not path.exists():
        return ok(id_, "没有演示账号文件", "there is no file of demo log-ins")
    if path.stat().st_mode & OTHERS or house.is_production:
        return fault(
            id_,
            "演示账号文件可被他人读取，或出现在生产环境",
            "the file of demo log-ins can be read by others, or lies in production",
            do=(
                f"chmod 600 {path}（生产环境应删除）",
                f"chmod 600 {path}; in production remove it",
            ),
        )
    words = {login["password"] for login in json.loads(path.read_text("utf-8"))}
    return ok(id_, f"{len(words)} 个随机演示口令，仅本人可读", "random log-ins, for the owner only")


def _hosts(house: House, id_: str) -> Verdict:
    if house.is_production and not house.hospital.hosts:
        return fault(
            id_,
            "没有设置门户的主机名",
            "the portal's host names are not set",
            do=("在 [hospital] 设置 hosts", "set hosts in [hospital]"),
        )
    return ok(id_, "主机名受限", "only named hosts are answered")


def _debug(house: House, id_: str) -> Verdict:
    if house.hospital.debug:
        return fault(
            id_,
            "debug 已打开",
            "debug is on",
            do=("从 [hospital] 去掉 debug", "take debug out of [hospital]"),
        )
    return ok(id_, "debug 已关闭", "debug is off")


def _passwords(house: House, id_: str) -> Verdict:
    weak = 0
    with closing(read_only(house.folder.boards / "identity.sqlite")) as db:
        found = db.execute("SELECT password_hash FROM identity_account WHERE password_hash > ''")
        weak = sum(not hash_.startswith("$argon2id$") for (hash_,) in found)
    rule = house.setting("identity", "password_rule")
    if weak:
        return fault(
            id_,
            f"{weak} 个口令不是 argon2id",
            f"{weak} passwords are not kept as argon2id",
            do=("让这些账号重设口令", "have those accounts set a new password"),
        )
    return ok(id_, f"口令规则 {rule}，argon2id", f"passwords by the rule {rule}, as argon2id")


def _lock(house: House, id_: str) -> Verdict:
    seconds = house.setting("identity", "idle_lock_s")
    return ok(id_, f"闲置 {seconds} 秒锁屏", f"screens lock after {seconds} s")


def _cookies(house: House, id_: str) -> Verdict:
    if house.is_production and not house.hospital.tls_by:
        return fault(
            id_,
            "门户前没有 TLS：会话 Cookie 无法使用 __Host- 名",
            "no TLS stands before the portal: the session's cookie cannot be a __Host- one",
            do=("在前面放 TLS 代理并写入 tls_by", "put a TLS proxy in front and name it in tls_by"),
        )
    return ok(id_, "会话 Cookie 受保护", "the session's cookie is protected")


def _systems(house: House, id_: str) -> Verdict:
    with closing(read_only(house.folder.boards / "hub.sqlite")) as db:
        asked = "SELECT code, networks, until FROM hub_system WHERE is_active"
        systems = db.execute(asked).fetchall()
    loose = [code for code, networks, until in systems if until is None or networks == "[]"]
    if loose and house.is_production:
        return fault(
            id_,
            f"院外系统没有网段或期限：{'、'.join(loose[:5])}",
            f"outside systems without networks or an end: {', '.join(loose[:5])}",
            do=(
                "为其设置网段（networks）和到期日（until）：POST /api/hub/v1/configure",
                "set networks and until for them: POST /api/hub/v1/configure",
            ),
        )
    return ok(id_, f"{len(systems)} 个院外系统", f"{len(systems)} outside systems")


def _permissions(house: House, id_: str) -> Verdict:
    problems = [str(f) for board in house.found.boards for f in check_manifest(board)]
    return _of_boards(id_, problems, "每个操作都有权限", "every operation has its permission")


def _classes(house: House, id_: str) -> Verdict:
    problems = [str(f) for board in house.found.boards for f in unclassed_texts(board)]
    return _of_boards(id_, problems, "每个文本字段都有数据级别", "every text has its class")


def _masked(house: House, id_: str) -> Verdict:
    found = (f for board in house.found.boards for f in check_manifest(board))
    problems = [str(f) for f in found if f.rule == "SEC-DATA-09"]
    return _of_boards(id_, problems, "脱敏字段都有查看权限", "masked fields have their permission")


def _of_boards(id_: str, problems: list[str], zh: str, en: str) -> Verdict:
    if not problems:
        return ok(id_, zh, en)
    return fault(
        id_,
        f"插板不合规：{problems[0]}",
        f"a board breaks the rule: {problems[0]}",
        do=("运行 plugward check，不要插入该插板", "run plugward check, and leave that board out"),
    )


def _append_only(house: House, id_: str) -> Verdict:
    with closing(read_only(house.folder.audit / "audit.sqlite")) as db:
        named = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        found = {name for (name,) in db.execute(named)}
    if {"audit_no_update", "audit_no_delete"} <= found:
        return ok(id_, "审计表只能追加", "the audit log can only be added to")
    return fault(
        id_,
        "审计表的只追加保护被去掉了",
        "the guard that makes the audit log append-only was taken off",
        do=("保留现场并查明是谁；然后重启医院恢复", "find out who did it; a restart puts it back"),
    )


def _plain_mllp(house: House, id_: str) -> Verdict:
    host = house.hl7_host
    if is_loopback(host):
        return ok(id_, "HL7 只监听本机", "HL7 is read from this machine only")
    reason = house.setting("hub", "plain_reason")
    return fault(
        id_,
        f"明文 HL7 监听在 {host}：{reason or '没有写明理由'}",
        f"plain HL7 is read on {host}: {reason or 'without a reason'}",
        do=("改用 TLS，或独立 VLAN 并限期", "use TLS, or a VLAN of its own, with an end"),
        warning=bool(reason),
    )


def _files_closed(house: House, id_: str) -> Verdict:
    open_ = _readable(house.folder.boards)
    if not open_:
        return ok(id_, "各插板数据文件仅属主可读", "every board's file is its owner's only")
    return _close(id_, open_)


def _secrets(house: House, id_: str) -> Verdict:
    keys = Path(house.hospital.keys) if house.hospital.keys else house.folder.keys
    open_ = _readable(keys) + _readable_file(house.folder.settings_file)
    if not open_:
        return ok(id_, "密钥文件仅属主可读", "keys are for their owner only")
    return _close(id_, open_)


def _readable(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) for path in _readable_file(path)]


def _readable_file(path: Path) -> list[Path]:
    return [path] if path.is_file() and path.stat().st_mode & OTHERS else []


def _close(id_: str, files: list[Path]) -> Verdict:
    return fault(
        id_,
        f"{len(files)} 个文件可被其他用户读取：{files[0]}",
        f"{len(files)} files can be read by other users: {files[0]}",
        do=(f"chmod 600 {files[0]}", f"chmod 600 {files[0]}"),
    )


LOOKS: dict[str, Callable[[House, str], Verdict]] = {
    "SEC-GATE-01": _listeners,
    "SEC-GATE-02": _gate,
    "SEC-GATE-03": _demo_apart,
    "SEC-GATE-04": _logins,
    "SEC-GATE-05": _hosts,
    "SEC-GATE-06": _debug,
    "SEC-IDENTITY-02": _passwords,
    "SEC-IDENTITY-10": _lock,
    "SEC-IDENTITY-13": _cookies,
    "SEC-IDENTITY-21": _systems,
    "SEC-AUTHZ-01": _permissions,
    "SEC-AUDIT-07": _append_only,
    "SEC-DATA-01": _classes,
    "SEC-DATA-09": _masked,
    "SEC-HUB-01": _plain_mllp,
    "SEC-BOARD-08": _files_closed,
    "SEC-OPS-01": _secrets,
}
