#!/usr/bin/python3
# What this machine's kernel starts in place of a booted tree's: it does what core_pattern says in there, with the pids of
# in there. Arguments: the specifiers of CORE_PATTERN, with their letters as the file `letters` has them. Beside it lie
# `init`, the pid of the tree's PID 1, and `lab/kernel.core_pattern`.
import os
import re
import sys

here = os.path.dirname(sys.argv[0])


def text(name):
    with open(f"{here}/{name}") as file:
        return file.read().rstrip("\n")


def pid_inside(status):
    with open(status) as file:
        return re.search(r"^NSpid:\t\d+\t(\d+)", file.read(), re.M)[1]


given = dict(zip(text("letters"), sys.argv[1:]))
pattern = text("lab/kernel.core_pattern")
init = text("init")
process = f"/proc/{given['P']}"
if not pattern.startswith("|") or os.readlink(f"{process}/ns/pid") != os.readlink(f"/proc/{init}/ns/pid"):
    sys.exit(0)
given["I"] = pid_inside(f"{process}/task/{given['I']}/status")
given["P"] = pid_inside(f"{process}/status")
words = [re.sub("%(.)", lambda found: given.get(found[1], ""), word) for word in pattern[1:].split()]
os.execv("/usr/bin/nsenter", ["nsenter", "--target", init, "--all", "--", "/usr/bin/env", "-i", *words])
