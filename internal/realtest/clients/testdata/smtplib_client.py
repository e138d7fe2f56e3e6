# Uses Python's smtplib as programs do:
# smtplib_client.py HOW HOST:PORT AUTHORITIES USER PASSWORD RECIPIENT...
import smtplib
import ssl
import sys
from email.message import EmailMessage

how, address, authorities, user, password = sys.argv[1:6]
host, port = address.rsplit(":", 1)
secure = ssl.create_default_context(cafile=authorities) if how != "plain" else None


def connected():
    if how == "TLS":
        return smtplib.SMTP_SSL(host, int(port), timeout=60, context=secure)
    s = smtplib.SMTP(host, int(port), timeout=60)
    if how == "STARTTLS":
        s.starttls(context=secure)
    return s


m = EmailMessage()
m["From"], m["To"], m["Subject"] = user, ", ".join(sys.argv[6:]), "sent by Python from " + user
m.set_content("A body with an umlaut: \u00fc\n.\n..\n")

with connected() as s:
    s.ehlo()
    try:
        s.sendmail(user, sys.argv[6:], m.as_bytes())
        raise AssertionError("nobody had to log in")
    except smtplib.SMTPException:
        pass

with connected() as s:
    s.login(user, password)
    assert not s.send_message(m), "somebody was refused"
    s.noop()
print("all is well")
