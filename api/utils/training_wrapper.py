"""The keeper: one small process an attempt. It starts the trainer, outlives the service and records the end.

Run as a script, `python -I -S training_wrapper.py CONTROL_DIR LOCK_FD`; standard library only and few imports,
because each job pays for its start and its memory. Three rules make a restart harmless: the *intent* to end is a
file (`stop`), *life* is a lock (taken by the service before the spawn and handed over), the *result* is a file
(`exit.json`). The trainer is forked behind a gate that opens once `pid.json` is on the disk: whoever kills the
keeper at whatever moment, nothing runs that is not on record.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time

TYPE_CHECKING = False  # `typing` itself would cost a tenth of the start
if TYPE_CHECKING:
    from typing import Any, NoReturn

VERSION = 1
LAUNCH, LOCK, PID, EXIT, STOP = "launch.json", "lock", "pid.json", "exit.json", "stop"
USAGE = "usage.json"  # where nobody else can look at the tree: on another machine
ROOM = 4096  # bytes reserved for a record before the start, so that a full disk cannot lose the verdict
BEAT = 0.2  # seconds between looks at `stop`; the death of a child wakes at once
HURRY = 0.05  # the same while killing
OVER = "over the memory limit"  # why it was ended
MEASURE = 1.0  # seconds between two measurements of memory
WATCHED = (signal.SIGCHLD, signal.SIGTERM)
OOM_SCORE = 500  # the kernel should shoot the trainer, not the keeper or the service
KILLED = (-9, 137, 247)  # SIGKILL, as told by wait(), a shell, and a launcher that exits with -9
ERROR_MARK = "[stderr] "  # begins each line of the log that was printed to a standard error of its own
ECHO = 256 * 1024  # bytes of it that one look takes
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")


class Process:
    """What /proc/PID/stat says. (pid, starttime) within one boot names a process for good; a bare pid does not."""

    __slots__ = ("cpu_seconds", "group", "parent", "pid", "session", "starttime", "zombie")

    def __init__(self, pid: int, stat: bytes) -> None:
        fields = stat.rpartition(b")")[2].split()
        self.pid = pid
        self.zombie = fields[0] in (b"Z", b"X")
        self.parent, self.group, self.session = int(fields[1]), int(fields[2]), int(fields[3])
        self.cpu_seconds = (int(fields[11]) + int(fields[12])) / TICK
        self.starttime = int(fields[19])


def read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def process(pid: int) -> Process | None:
    try:
        return Process(pid, read(f"/proc/{pid}/stat"))
    except (OSError, IndexError):
        return None


def processes() -> list[Process]:
    found = (process(int(name)) for name in os.listdir("/proc") if name.isdecimal())
    return [each for each in found if each]


def clock() -> float:
    """Seconds since the boot: not the wall clock, which may be set, and the same in every process."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    return read("/proc/sys/kernel/random/boot_id").decode().strip()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found.extend(map(int, read(f"/proc/{pid}/task/{task}/children").split()))
    except OSError:  # it ended meanwhile
        pass
    return found


def descendants(root: int) -> list[Process]:
    """Every process below `root`, zombies included, parents first. One reading: repeat it to outrun a fork."""
    by_parent: dict[int, list[int]] | None = None
    if not os.path.exists("/proc/thread-self/children"):  # a kernel without CONFIG_PROC_CHILDREN
        by_parent = {}
        for each in processes():
            by_parent.setdefault(each.parent, []).append(each.pid)
    found: dict[int, Process] = {}
    queue = [root]
    for pid in queue:
        for kid in _children(pid) if by_parent is None else by_parent.get(pid, ()):
            stat = None if kid in found else process(kid)
            if stat:
                found[kid] = stat
                queue.append(kid)
    return list(found.values())


def send(target: Process, number: int) -> None:
    """Signals this very process or nobody: what holds the number when the signal goes out was checked before."""
    handle = -1
    try:
        handle = os.pidfd_open(target.pid)
    except ProcessLookupError:
        return
    except OSError:  # no such call here, or a container forbids it: the check below is all there is
        pass
    try:
        now = process(target.pid)
        if now and now.starttime == target.starttime:
            signal.pidfd_send_signal(handle, number) if handle >= 0 else os.kill(target.pid, number)
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        if handle >= 0:
            os.close(handle)


def resident(pid: int) -> int:
    try:
        return int(read(f"/proc/{pid}/statm").split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    """Memory with shared pages divided among their sharers, so that forked loaders are not counted N times."""
    try:
        return int(read(f"/proc/{pid}/smaps_rollup").partition(b"\nPss:")[2].split(None, 1)[0]) * 1024
    except (OSError, IndexError):
        return resident(pid)


def _oom_kills() -> int:
    """How often the kernel killed for want of memory: in our control group where it can be read, else at all."""
    paths = ["/proc/vmstat"]
    try:
        groups = read("/proc/self/cgroup").decode().splitlines()
    except OSError:
        groups = []
    for line in groups:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            paths[:0] = [f"/sys/fs/cgroup{root}{group}/memory.events" for root in ("", "/unified")]
        elif "memory" in controllers.split(","):
            paths.insert(0, f"/sys/fs/cgroup/memory{group}/memory.oom_control")
    for path in paths:
        try:
            words = read(path).split()
            return int(words[words.index(b"oom_kill") + 1])
        except (OSError, ValueError):
            continue
    return 0


def reserve(directory: str, name: str) -> None:
    """Takes the disk space of a record, so that writing it later cannot fail for want of it. Allocated and not
    written: that is at once (no fsync needed to know) and stays in place on copy-on-write file systems too."""
    handle = os.open(f"{directory}/.{name}", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(handle, 0, ROOM)
    finally:
        os.close(handle)


def put(directory: str, name: str, record: dict[str, Any], *, durable: bool = True) -> None:
    """Atomic: a reader sees all of it or nothing; `durable`: also after a power cut."""
    handle = os.open(f"{directory}/.{name}", os.O_WRONLY | os.O_CREAT, 0o600)
    with open(handle, "wb") as file:  # over what is reserved, which "wb" of a descriptor leaves alone
        file.write(json.dumps({"v": VERSION, **record}).encode().ljust(ROOM))
        file.truncate()
        if durable:
            os.fsync(handle)
    os.rename(f"{directory}/.{name}", f"{directory}/{name}")
    if durable:
        sync_directory(directory)


def sync_directory(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _said(error: BaseException) -> str:
    """An error in few enough words to fit into the room reserved for it."""
    known = isinstance(error, OSError) and error.strerror
    return f"{error.strerror}: {error.filename}"[:500] if known else repr(error)[:500]  # type: ignore[attr-defined]


def _offer_to_the_oom_killer() -> None:
    """From inside and before exec: no grandchild can be too early for it, and raising it needs no privilege."""
    try:
        with open("/proc/self/oom_score_adj", "r+") as file:
            file.write(str(max(OOM_SCORE, int(file.read()))))
    except OSError:  # a /proc that is read-only: no reason not to train
        pass


def become(launch: dict[str, Any], gate: int, failures: int, log: int, errors: int) -> NoReturn:
    """In the fork: waits at the gate, then becomes the trainer. Nothing here can race, the keeper has no threads."""
    what = "/dev/null"
    try:
        os.setsid()
        if not os.read(gate, 1):  # the keeper died before it had us on record
            os._exit(0)
        for target, source in enumerate((os.open("/dev/null", os.O_RDONLY), log, errors)):
            os.dup2(source, target)
        _offer_to_the_oom_killer()
        if launch.get("tied"):  # nobody could find it there once its keeper is gone
            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        if launch.get("affinity"):
            what = f"cores {launch['affinity']}"
            os.sched_setaffinity(0, launch["affinity"])
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        what = str(launch["cwd"])
        os.chdir(what)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        what = str(launch["argv"][0])
        given = {name: os.environ[name] for name in launch.get("inherit", ()) if name in os.environ}
        os.execvpe(what, launch["argv"], {**launch["env"], **given})
    except (OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, OSError):
            error.filename = what  # as the engine wrote it, not the last place of the search path
        os.write(failures, _said(error).encode())
    finally:  # whatever happens, the fork never becomes a second keeper
        os._exit(127)


class Echo:
    """Standard error's own file, from which whole lines go on to the log with a mark: there all of it is to be found.

    A file and no pipe: whoever kills the keeper, the trainer prints on.
    """

    def __init__(self, path: str, log: str) -> None:
        self.log = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.reader = os.open(path, os.O_RDONLY)
        self.position = os.fstat(self.reader).st_size  # behind what the attempts before have printed

    def turn(self, final: bool = False) -> bool:
        """Takes a piece; whether it was one. `final`: what is left behind the last whole line is a line too."""
        raw = os.pread(self.reader, ECHO, self.position)
        whole = max(raw.rfind(b"\n"), raw.rfind(b"\r")) + 1
        taken = raw[:whole] if whole or not (final or len(raw) == ECHO) else raw
        lines = [line for line in taken.replace(b"\r", b"\n").split(b"\n") if line]
        if lines:
            size = os.fstat(self.log).st_size
            begun = size and os.pread(self.log, 1, size - 1) != b"\n"  # a bar that the trainer is drawing
            text = b"".join(ERROR_MARK.encode() + line + b"\n" for line in lines)
            self.write(b"\n" + text if begun else text)
        self.position += len(taken)
        return bool(taken)

    def write(self, text: bytes) -> None:
        while text:
            text = text[os.write(self.log, text) :]


class Keeper:
    """Follows one trainer to the end of its whole tree."""

    def __init__(self, control: str) -> None:
        self.control = control
        self.child = 0  # 0 once it was reaped: its number may be anybody's then
        self.code: int | None = None
        self.error: str | None = None
        self.failures = -1  # what the fork has to say when it could not become the trainer
        self.started_at: float | None = None
        self.began = clock()
        self.deadline: float | None = None  # when to kill; set by the first reason to end
        self.stopped = self.killed = self.over = self.by_kernel = False
        self.intent: tuple[int, int] | None = None  # which `stop` was read
        self.peak = 0
        self.measured = self.reported = 0.0
        self.oom_before = _oom_kills()
        self.launch: dict[str, Any] = {}
        self.echo: Echo | None = None

    def run(self) -> None:
        why = "cannot start"
        try:
            self.launch = json.loads(read(f"{self.control}/{LAUNCH}"))
            self.check_version()
            if os.path.exists(f"{self.control}/{STOP}"):
                self.stopped, why = True, "stopped before start"
            else:
                self.start()
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.error = _said(error)
        else:
            self.follow()
            self.finish_echo()
        self.record(why)

    def check_version(self) -> None:
        if self.launch["v"] != VERSION:
            raise ValueError(f"launch.json has version {self.launch['v']}, this keeper knows {VERSION}")

    def start(self) -> None:
        log = os.open(self.launch["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if self.launch.get("errors"):
            self.echo = Echo(self.launch["errors"], self.launch["log"])
        gate, opener = os.pipe()
        self.failures, failures = os.pipe()
        self.child = os.fork()
        if not self.child:
            os.close(opener)
            become(self.launch, gate, failures, log, self.echo.writer if self.echo else log)
        os.close(gate)
        os.close(failures)
        try:
            self.write_pid(os.fstat(log))
            os.write(opener, b"!")
        except OSError:
            os.close(opener)  # a closed gate: the fork leaves without having run anything
            os.waitpid(self.child, 0)
            raise
        os.close(opener)
        os.close(log)

    def write_pid(self, log: os.stat_result) -> None:
        child, own = process(self.child), process(os.getpid())
        assert child and own
        self.started_at, self.began = time.time(), clock()
        identity = {"pid": child.pid, "starttime": child.starttime, "boot_id": boot_id()}
        keeper = {"keeper": own.pid, "keeper_starttime": own.starttime, "log": [log.st_dev, log.st_ino]}
        put(self.control, PID, identity | keeper | {"started_at": self.started_at})

    def follow(self) -> None:
        """Returns when no process of the tree is left: a subreaper without children has no descendants."""
        while self.reap():
            try:
                self.turn()
            except (OSError, ValueError):  # want of descriptors or memory, say: no reason to let go of a tree
                pass
            woken = signal.sigtimedwait(WATCHED, HURRY if self.killed else BEAT)
            if woken and woken.si_signo == signal.SIGTERM:
                self.stopped = True
                self.end(self.linger)

    def finish_echo(self) -> None:
        try:
            while self.echo and self.echo.turn(final=True):
                pass
        except OSError:  # a full disk: the file of its own has it all the same
            pass

    def turn(self) -> None:
        self.read_stop()
        self.measure()
        if self.deadline is not None and clock() >= self.deadline:
            self.killed = True
            self.signal_tree(signal.SIGKILL)
        if self.echo:
            self.echo.turn()

    @property
    def linger(self) -> float:
        """Seconds that what outlives the trainer gets between SIGTERM and SIGKILL."""
        return float(self.launch.get("linger", 10.0))

    def reap(self) -> bool:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            self.peak = max(self.peak, usage.ru_maxrss * 1024)
            if pid == self.child:
                self.child, self.code = 0, os.waitstatus_to_exitcode(status)
                self.error = os.read(self.failures, ROOM).decode(errors="replace") or None
                self.by_kernel = not self.killed and self.code in KILLED and _oom_kills() > self.oom_before
                self.end(self.linger, again=True)

    def read_stop(self) -> None:
        try:
            stat = os.stat(f"{self.control}/{STOP}")
            seen = stat.st_ino, stat.st_mtime_ns
            if seen == self.intent:
                return
            self.intent, self.stopped = seen, True
            grace = float(json.loads(read(f"{self.control}/{STOP}"))["grace"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError):  # an intent all the same
            grace = self.linger
        self.end(grace if grace >= 0 else self.linger)

    def end(self, grace: float, again: bool = False) -> None:
        """SIGTERM once (`again`: to the stragglers too); a later call can only bring the SIGKILL forward."""
        deadline = clock() + grace
        if self.deadline is None or again:
            self.signal_tree(signal.SIGTERM)
            self.signal_tree(signal.SIGCONT)  # one that is suspended would not hear it
        self.deadline = deadline if self.deadline is None else min(self.deadline, deadline)

    def signal_tree(self, number: int) -> None:
        """The trainer's group at one blow while its number is safe (unreaped), and one by one who left it."""
        group = self.child
        if group:
            try:
                os.killpg(group, number)
            except (ProcessLookupError, PermissionError):
                pass
        for each in descendants(os.getpid()):
            if not group or each.group != group:
                send(each, number)

    def measure(self) -> None:
        limit, now = self.launch.get("memory_limit"), clock()
        if now < self.measured + (MEASURE if limit else 5 * MEASURE):
            return
        self.measured = now
        tree = [each.pid for each in descendants(os.getpid())]
        used = sum(map(_proportional if limit else resident, tree))
        self.peak = max(self.peak, used)
        if self.launch.get("report") and now >= self.reported + 5 * MEASURE:
            self.reported = now
            self.report(used)
        if limit and used > limit:
            self.over, self.deadline = True, now

    def report(self, used: int) -> None:
        tree = descendants(os.getpid())
        spent = sum(each.cpu_seconds for each in tree)
        usage = {"cpu_seconds": spent, "rss_bytes": used, "pids": [each.pid for each in tree], "at": time.time()}
        put(self.control, USAGE, usage, durable=False)

    def record(self, why: str) -> None:
        if self.code is not None and not self.error:
            why = OVER if self.over else "stopped" if self.stopped else "exited"
        else:
            self.code = self.started_at = None  # nothing ran
        passed = clock() - self.began  # not of the wall clock, which may be set while a job runs
        ended_at = (self.started_at or time.time() - passed) + passed
        times = {"started_at": self.started_at, "ended_at": ended_at}
        end = {"code": self.code, "why": why, "error": self.error, "stopped": self.stopped}
        rest = {"oom_killed": self.over or self.by_kernel, "peak_rss_bytes": self.peak or None}
        put(self.control, EXIT, end | times | rest)


def main(control: str, lock: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.set_inheritable(lock, False)  # ours alone: the trainer must not keep it alive
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != lock:
            try:
                os.close(int(name))
            except OSError:  # the one that listed them
                pass
    os.chdir("/")  # pins no file system
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: who leaves the session falls to us
    for name in (PID, EXIT):
        reserve(control, name)
    Keeper(control).run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
