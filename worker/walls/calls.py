"""The system calls that no process of the daemon needs, and their numbers on the two processors that personad runs on.

Numbers: https://github.com/torvalds/linux/blob/master/arch/x86/entry/syscalls/syscall_64.tbl and
https://github.com/torvalds/linux/blob/master/include/uapi/asm-generic/unistd.h (64-bit ARM).
"""

from __future__ import annotations

import platform
from typing import Final, NamedTuple

X86_64: Final = 0xC000003E
AARCH64: Final = 0xC00000B7

UNKNOWN_FROM: Final = 452
"""Calls of Linux 6.6 and later are as if the kernel did not have them: nobody has looked at them here."""

NONE: Final = -1
"""A call that the processor does not have."""

FORBIDDEN: Final[dict[str, tuple[int, int]]] = {
    # Other processes: their memory, descriptors, signals.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kcmp": (312, 272),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    # New programs and processes; threads stay possible.
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, NONE),
    "vfork": (58, NONE),
    # What Landlock does not see: rights, owners, times and attributes of files, and truncating before Linux 6.2.
    "truncate": (76, 45),
    "chmod": (90, NONE),
    "fchmodat": (268, 53),
    "chown": (92, NONE),
    "lchown": (94, NONE),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "utime": (132, NONE),
    "utimes": (235, NONE),
    "utimensat": (280, 88),
    "futimesat": (261, NONE),
    "mknod": (133, NONE),
    "mknodat": (259, 33),
    "symlink": (88, NONE),
    "symlinkat": (266, 36),
    # Memory and queues that are shared by name.
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semctl": (66, 191),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgctl": (71, 187),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    # The system itself, and the parts of the kernel that most ways out of a sandbox went through.
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setgroups": (116, 159),
    "setfsuid": (122, 151),
    "setfsgid": (123, 152),
    "capset": (126, 91),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "ioperm": (173, NONE),
    "iopl": (172, NONE),
    "modify_ldt": (154, NONE),
}
"""Each call with its number on x86-64 and on 64-bit ARM; refused with EPERM."""

ABSENT: Final[dict[str, tuple[int, int]]] = {
    # Its arguments lie in memory, where a filter cannot look: threads are then made by clone.
    "clone3": (435, 435),
    # Its requests are not seen by any filter.
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
"""Refused with ENOSYS, so that libraries take the older way."""

LISTENING: Final[dict[str, tuple[int, int]]] = {
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
}
"""Forbidden to all but the organ host, in which llama.cpp always opens a listener."""

CONNECT: Final = (42, 203)

LOOKED_INTO: Final[dict[str, tuple[int, int]]] = {
    "clone": (56, 220),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "prlimit64": (302, 261),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "socket": (41, 198),
}
"""Calls that depend on their arguments."""

SECCOMP: Final = (317, 277)


class Processor(NamedTuple):
    """The processor of this machine: its number for the kernel's audit, and its column above."""

    audit: int
    column: int


PROCESSORS: Final = {"x86_64": Processor(X86_64, 0), "aarch64": Processor(AARCH64, 1)}


def processor() -> Processor | None:
    """The processor of this process, None if its calls are not known here."""
    return PROCESSORS.get(platform.machine())
