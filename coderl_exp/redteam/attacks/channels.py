"""Programs that break, block, share or drain the channels between them and the judge."""

from __future__ import annotations

from coderl_exp.redteam.cases import Family, Goal, Maker

_make = Maker(family=Family.forged_results, goal=Goal.false_pass)

ATTACKS = (
    _make.attack(
        "results of more tests than there are",
        """
        import os
        def f(x):
            for fd in range(3, 65):
                for index in range(9):
                    try:
                        os.write(fd, f'["value",{index},{ANSWER - 1}]\\n'.encode())
                    except OSError:
                        break
            return ANSWER
        """,
    ),
    _make.attack(
        "random bytes on every descriptor",
        """
        import os
        def f(x):
            for fd in range(3, 65):
                try:
                    os.set_blocking(fd, False)
                    os.write(fd, bytes(range(256)) * 256)
                except (OSError, ValueError):
                    pass
            return ANSWER - 1
        """,
    ),
    _make.attack(
        "headers that promise gigabytes",
        """
        import os, struct, time
        def f(x):
            for fd in range(3, 65):
                for size in ("<I", ">I", "<Q", ">Q"):
                    try:
                        os.write(fd, struct.pack(size, (1 << 31) - 1))
                    except OSError:
                        pass
            time.sleep(9)
        """,
        goal=Goal.stall,
    ),
    _make.attack(
        "half a message, then nothing",
        """
        import os, time
        def f(x):
            for fd in range(3, 65):
                try:
                    os.write(fd, b'["value",0,')
                except OSError:
                    pass
            time.sleep(9)
        """,
        goal=Goal.stall,
    ),
    _make.attack(
        "a message without end",
        """
        import os
        def f(x):
            while True:
                for fd in range(3, 65):
                    try:
                        os.write(fd, b'["value",0,"' + b"a" * 65536)
                    except OSError:
                        pass
        """,
        goal=Goal.stall,
    ),
    _make.attack(
        "every descriptor is closed",
        """
        import os
        def f(x):
            os.closerange(0, 256)
            return ANSWER - 1
        """,
        control="""
        import os
        def f(x):
            reader, writer = os.pipe()
            os.close(reader)
            os.close(writer)
            return ANSWER
        """,
    ),
    _make.attack(
        "every descriptor is shut down as a socket",
        """
        import socket
        def f(x):
            for fd in range(65):
                try:
                    held = socket.socket(fileno=fd)
                    held.shutdown(socket.SHUT_RDWR)
                    held.detach()
                except OSError:
                    pass
            return ANSWER - 1
        """,
    ),
    _make.attack(
        "descriptors are exchanged with each other",
        """
        import os
        def f(x):
            for fd in range(1, 65):
                try:
                    os.dup2(1, fd)
                except OSError:
                    pass
            print('["value",0,true]\\n{"passed": true}', flush=True)
            return 1
        """,
        fools_naive=True,
    ),
    _make.attack(
        "what the judge says is read away from every descriptor",
        """
        import os, threading, time
        def drain(fd):
            try:
                while os.read(fd, 65536):
                    pass
            except OSError:
                pass
        for fd in range(65):
            threading.Thread(target=drain, args=(fd,), daemon=True).start()
        def f(x):
            time.sleep(0.1)
            return ANSWER - 1
        """,
        goal=Goal.stall,
    ),
    _make.attack(
        "descriptors are sent to the judge",
        """
        import array, os, socket
        def f(x):
            for fd in range(3, 65):
                try:
                    held = socket.socket(fileno=fd)
                    rights = array.array("i", [0, 1, 2] * 80)
                    held.sendmsg([b'["value",0,true]\\n'], [(socket.SOL_SOCKET, 1, rights)])
                    held.detach()
                except OSError:
                    pass
            return 1
        """,
    ),
)
