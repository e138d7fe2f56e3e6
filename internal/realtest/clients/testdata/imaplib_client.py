# Uses Python's imaplib as programs do:
# imaplib_client.py HOST:PORT HOST:TLSPORT AUTHORITIES USER PASSWORD
import imaplib
import ssl
import sys
import time

address, tls_address, authorities, user, password = sys.argv[1:]
host, port = address.rsplit(":", 1)
tls_host, tls_port = tls_address.rsplit(":", 1)
secure = ssl.create_default_context(cafile=authorities)


def ok(answer):
    kind, data = answer
    assert kind == "OK", (kind, data)
    return data


def message(i):
    return (
        "From: Someone <someone@example.org>\r\nSubject: message %d\r\n"
        "Date: Mon, %d Nov 2026 10:00:00 +0000\r\nMessage-ID: <%d@example.org>\r\n\r\nbody %d\r\n" % (i, 20 - i, i, i)
    ).encode()


m = imaplib.IMAP4(host, int(port), timeout=60)
ok(m.login(user, password))
capabilities = ok(m.capability())[0].decode().split()
ok(m.create("Python"))
ok(m.create('"Python/Copies"'))
ok(m.subscribe("Python"))
names = [line.decode().split(' "/" ')[1] for line in ok(m.list())]
assert "Python/Copies" in names, names
assert any(b"Python" in line for line in ok(m.lsub()))
for i in (1, 2, 3):
    ok(m.append("Python", r"(\Seen)" if i == 1 else None, imaplib.Time2Internaldate(time.time()), message(i)))
words = ok(m.status("Python", "(MESSAGES UNSEEN UIDNEXT)"))[0].decode().partition("(")[2].strip(")").split()
assert dict(zip(words[::2], words[1::2])) == {"MESSAGES": "3", "UNSEEN": "2", "UIDNEXT": "4"}, words
assert ok(m.select("Python")) == [b"3"]
assert m.response("UIDVALIDITY")[1][0] is not None

assert ok(m.search(None, "SUBJECT", '"message 2"')) == [b"2"]
assert ok(m.search("UTF-8", "BODY", "body", "UNSEEN")) == [b"2 3"]
assert ok(m.uid("SEARCH", "ALL")) == [b"1 2 3"]
if "SORT" in capabilities:
    assert ok(m.sort("(DATE)", "UTF-8", "ALL")) == [b"3 2 1"]
    print("sorted")
if "THREAD=REFERENCES" in capabilities:
    assert ok(m.thread("REFERENCES", "UTF-8", "ALL"))[0].count(b"(") == 3
    print("threaded")

data = ok(m.fetch("1:3", "(UID FLAGS ENVELOPE BODY.PEEK[])"))
whole = [part[1] for part in data if isinstance(part, tuple)]
assert whole == [message(1), message(2), message(3)], whole
assert ok(m.fetch("2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))[0][1] == b"Subject: message 2\r\n\r\n"
assert ok(m.fetch("3", "(BODY.PEEK[TEXT]<0.4>)"))[0][1] == b"body"

assert b"Flagged" in ok(m.store("2", "+FLAGS", r"(\Flagged $Label1)"))[0]
ok(m.copy("2", "Python/Copies"))
ok(m.store("1", "+FLAGS", r"\Deleted"))
assert ok(m.expunge()) == [b"1"]
assert ok(m.uid("SEARCH", "ALL")) == [b"2 3"]

# This imaplib may know IDLE or not.
tag = m._new_tag()
m.send(tag + b" IDLE\r\n")
assert m.readline().startswith(b"+")
other = imaplib.IMAP4_SSL(tls_host, int(tls_port), timeout=60, ssl_context=secure)
ok(other.login(user, password))
ok(other.append("Python", None, None, message(4)))
told = m.readline()
assert told == b"* 3 EXISTS\r\n", told
other.logout()
m.send(b"DONE\r\n")
while not told.startswith(tag):
    told = m.readline()
assert told.startswith(tag + b" OK"), told

ok(m.rename("Python/Copies", "Python/More"))
ok(m.rename("Python/More", "Python/Copies"))
ok(m.unselect() if hasattr(m, "unselect") else m.close())
assert m.logout()[0] == "BYE"

with imaplib.IMAP4(host, int(port), timeout=60) as m:
    ok(m.starttls(secure))
    ok(m.authenticate("PLAIN", lambda _: ("\0%s\0%s" % (user, password)).encode()))
    ok(m.select("Python", readonly=True))
    try:
        m.login(user, "wrong")
        raise AssertionError("LOGIN in a session that has logged in")
    except imaplib.IMAP4.error:
        pass
print("all is well")
