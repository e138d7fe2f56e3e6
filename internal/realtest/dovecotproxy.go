package realtest

import (
	"context"
	"fmt"
	"os"
)

// Backends are the ports of loopback that a Dovecot leads all users to. Without
// Sieve it serves no ManageSieve.
type Backends struct{ IMAP, POP3, LMTP, Sieve int }

// StartDovecotProxy starts a Dovecot without users of its own, which passes
// everybody on to back ends with what he has shown, and tells them of him where
// they want to know. Stop it afterwards.
func StartDovecotProxy(ctx context.Context, to Backends) (*Dovecot, error) {
	if os.Getuid() != 0 {
		return nil, errNotRoot
	}
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(5)
	if err != nil {
		return nil, err
	}
	d := &Dovecot{IMAP: ports[0], POP3: ports[1], LMTP: ports[2], IMAPS: ports[3], host: "127.0.0.1", dir: dir}
	sieve := ""
	if to.Sieve != 0 {
		d.Sieve = ports[4]
		sieve = sieveService(d.Sieve)
	}
	if err := d.configure(0); err != nil {
		return nil, err
	}
	if err := writeCertificate(d.dir); err != nil {
		return nil, err
	}
	if err := write(d.dir, "extras.conf", sieve+fmt.Sprintf(`
auth_username_format = %%Lu
default_vsz_limit = 2G
lmtp_proxy = yes
passdb {
  driver = static
  args = proxy=y host=127.0.0.1 port=%%{if;%%s;eq;imap;%[1]d;%%{if;%%s;eq;pop3;%[2]d;%%{if;%%s;eq;lmtp;%[3]d;%[6]d}}} nopassword=y
}
ssl = yes
ssl_cert = <%[5]s/cert.pem
ssl_key = <%[5]s/key.pem
service imap-login {
  inet_listener imaps {
    port = %[4]d
    ssl = yes
  }
}
`, to.IMAP, to.POP3, to.LMTP, d.IMAPS, d.dir, to.Sieve)); err != nil {
		return nil, err
	}
	if err := d.start(ctx); err != nil {
		return nil, err
	}
	return d, nil
}
