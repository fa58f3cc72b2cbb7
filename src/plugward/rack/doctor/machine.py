"""The machine 主机: ports, the data folder, the disk, the clock, certificates."""

import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from plugward.kit.time import Instant

from ..folder import DataFolder, HospitalSettings
from .verdict import Verdict, fault, ok, unknown

DISK_FAULT, DISK_WARNING = 500_000_000, 5_000_000_000
CLOCK_MAX = timedelta(seconds=2)
SOON = timedelta(days=30)
CERTIFICATES = ("*.pem", "*.crt", "*.cer")


def ports(wanted: tuple[tuple[str, int], ...], *, runs: bool) -> Iterator[Verdict]:
    """Whether the hospital could listen. One that runs holds its ports itself."""
    if runs:
        yield ok("ports", "医院正在运行，端口由其占用", "the hospital runs and holds its ports")
        return
    for option, port in wanted:
        if port and not is_free("127.0.0.1", port):
            yield fault(
                "ports",
                f"端口 {port} 已被其他程序占用",
                f"port {port} is taken by another program",
                do=(
                    f"停止占用它的程序（ss -ltnp 'sport = :{port}'），或用 {option} 换一个端口",
                    f"stop that program (ss -ltnp 'sport = :{port}') or take another port with "
                    f"{option}",
                ),
            )
            return
    yield ok("ports", "端口空闲", "the ports are free")


def is_free(host: str, port: int) -> bool:
    """Whether one could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def data_folder(folder: DataFolder) -> Verdict:
    """Whether files can be written where the hospital keeps everything."""
    for place in (folder.path, folder.boards, folder.audit):
        probe = place / f".doctor-{os.getpid()}"
        try:
            probe.touch(mode=0o600)
            probe.unlink()
        except OSError as error:
            return fault(
                "folder",
                f"数据目录 {place} 不能写入：{error.strerror}",
                f"the data folder {place} cannot be written: {error.strerror}",
                do=(
                    "以运行医院的用户执行；检查目录归属（chown）、权限（0700）和挂载是否只读",
                    "run as the hospital's own user; look at owner (chown), mode (0700) and "
                    "whether the disk is mounted read-only",
                ),
            )
    return ok("folder", "数据目录可写", "the data folder can be written")


def disk(folder: DataFolder) -> Verdict:
    """How much room is left on the disk of the data."""
    free = shutil.disk_usage(folder.path).free
    room = f"{free / 1e9:.1f} GB"
    if free >= DISK_WARNING:
        return ok("disk", f"磁盘剩余 {room}", f"{room} are free on the disk")
    return fault(
        "disk",
        f"磁盘快满了：只剩 {room}",
        f"the disk is nearly full: {room} are left",
        do=(
            "删除旧备份和旧日志，或扩容；写满后系统拒收新数据但不会丢失已确认的数据",
            "remove old backups and logs or enlarge the disk; a full disk refuses new work, and "
            "loses nothing that was acknowledged",
        ),
        warning=free >= DISK_FAULT,
    )


def clock(folder: DataFolder, now: Instant) -> Verdict:
    """A clock before the last entry of the audit log was set back, or was ahead before."""
    try:
        with closing(read_only(folder.audit / "audit.sqlite")) as db:
            last = db.execute("SELECT max(at) FROM audit_entry").fetchone()[0]
    except sqlite3.Error:
        return unknown("clock", "没有可对照的记录", "there is no record to compare with")
    if last is None or datetime.fromisoformat(last) <= now + CLOCK_MAX:
        return ok("clock", "时钟不早于最后一条记录", "the clock is not behind the last record")
    return clock_off(datetime.fromisoformat(last) - now)


def clock_off(by: timedelta) -> Verdict:
    """The sentence about a clock that is wrong by so much."""
    seconds = round(by.total_seconds())
    return fault(
        "clock",
        f"时钟不准：本机时间与已有记录相差 {seconds} 秒",
        f"the clock is off: this machine differs from what is on record by {seconds} s",
        do=(
            "校准时间（chronyc tracking / timedatectl），启用两个 NTP 源后再开院",
            "set the clock right (chronyc tracking, timedatectl) and use two NTP sources before "
            "the hospital opens",
        ),
    )


def certificates(folder: DataFolder, hospital: HospitalSettings, now: Instant) -> Iterator[Verdict]:
    """Every certificate in the data folder and among the keys, by its last day."""
    try:
        from cryptography import x509  # noqa: PLC0415 - of the extra rack; not in every hospital
    except ModuleNotFoundError:
        yield unknown(
            "certificates",
            "没有安装 cryptography，证书未检查",
            "cryptography is not installed, so certificates were not looked at",
        )
        return
    places = [folder.path, *([Path(hospital.keys)] if hospital.keys else [])]
    found = sorted({p for place in places for kind in CERTIFICATES for p in place.rglob(kind)})
    fine = 0
    for path in found:
        try:
            ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        except (ValueError, OSError):
            continue  # a key, or not for us to read
        if ends > now + SOON:
            fine += 1
            continue
        over = ends <= now
        yield fault(
            "certificates",
            f"证书 {path.name} {'已于' if over else '将于'} {ends:%Y-%m-%d} 到期",
            f"the certificate {path.name} {'expired' if over else 'expires'} on {ends:%Y-%m-%d}",
            do=(
                f"换新证书，放回 {path}，再重启医院",
                f"renew it, put it at {path} and restart the hospital",
            ),
            warning=not over,
        )
    if fine or not found:
        yield ok("certificates", f"{fine} 张证书有效", f"{fine} certificates are good")


def read_only(path: Path) -> sqlite3.Connection:
    """A file of the hospital, looked at and never written."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)
