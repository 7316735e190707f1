# SPDX-License-Identifier: BSD-2-Clause
"""The steps of the demo on its configuration: mistakes before the start, and at a reload."""
import lab
from claims import carets, connect, expect_carets, port_of
from report import expect


def broken_config():
    """Two mistakes at once, and what each is called."""
    text = lab.config_read()
    text = text.replace("weight: 3", "weight: three", 1).replace("protocol:", "protcol:", 1)
    return text, ["three", "protcol"]


def check(report):
    path = f"{lab.DIR}/broken.yaml"
    text, words = broken_config()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    report.quote(f"shunt check -f {lab.CONFIG}", lab.run("shunt", "check", "-f", lab.CONFIG))
    said = lab.run("shunt", "check", "-f", path, status=65)
    expect_carets(said, words)
    report.quote(f"shunt check -f {path}", said)
    report.figure(f"{len(carets(said))} mistakes, each with its place and a caret; exit status 65")


def refused(report):
    # The last step's change has a generation to come, when its handshakes are over.
    lab.wait_for("the tables have settled", lambda: not lab.show("status")["settling"])
    good, before = lab.config_read(), lab.generation()
    family = lab.FAMILIES[0]
    download = lab.Download(family, port_of(family, "b2", 22000))
    logged = len(lab.log_text())
    text, words = broken_config()
    lab.config_write(text)
    lab.hang_up()
    lab.wait_for("shuntd refuses the file", lambda: len(carets(lab.log_text()[logged:])) >= 2)
    said = lab.log_text()[logged:]
    expect_carets(said, words)
    lab.run("shunt", "reload", status=65)
    report.quote("kill -HUP $(cat shuntd.pid); tail shuntd.log", said)
    expect(lab.generation() == before, "the broken file changed what is published")
    for each in lab.FAMILIES:
        connect(each, 23000, 100)
    expect(download.goes_on() and download.finish() == lab.large_file(), "a download broke off")
    lab.config_write(good)
    lab.run("shunt", "reload")
    report.figure("refused with a caret at each mistake; `shunt reload` says so too, with status 65")
    report.figure("a download went on, and 200 new connections landed as explained")
