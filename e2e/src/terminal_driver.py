"""Runs a program on a terminal of its own: stdin and stdout are the terminal's other end.

Descriptor 3 takes lines "rows columns" that set the terminal's size. Exits with the program's code.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios


def set_size(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def main():
    child, terminal = pty.fork()
    if child == 0:
        # Else whoever waits for the driver's end waits for the program's, too.
        os.close(3)
        os.execvp(sys.argv[1], sys.argv[1:])
    set_size(terminal, 24, 80)
    sources = [0, 3, terminal]
    while terminal in sources:
        ready, _, _ = select.select(sources, [], [])
        if 3 in ready:
            lines = os.read(3, 4096)
            if not lines:
                sources.remove(3)
            for line in lines.splitlines():
                set_size(terminal, *map(int, line.split()))
        if 0 in ready:
            typed = os.read(0, 65536)
            if typed:
                os.write(terminal, typed)
            else:
                sources.remove(0)
        if terminal in ready:
            try:
                shown = os.read(terminal, 65536)
            except OSError:
                shown = b""
            if shown:
                os.write(1, shown)
            else:
                sources.remove(terminal)
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)


main()
