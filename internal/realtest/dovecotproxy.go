package realtest

import (
	"context"
	"fmt"
	"os"
)

// Backends are the ports of loopback that a Dovecot leads all users to.
type Backends struct{ IMAP, POP3, LMTP int }

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
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	d := &Dovecot{IMAP: ports[0], POP3: ports[1], LMTP: ports[2], host: "127.0.0.1", dir: dir}
	if err := d.configure(0); err != nil {
		return nil, err
	}
	if err := write(d.dir, "extras.conf", fmt.Sprintf(`
auth_username_format = %%Lu
lmtp_proxy = yes
passdb {
  driver = static
  args = proxy=y host=127.0.0.1 port=%%{if;%%s;eq;imap;%d;%%{if;%%s;eq;pop3;%d;%d}} nopassword=y
}
`, to.IMAP, to.POP3, to.LMTP)); err != nil {
		return nil, err
	}
	if err := d.start(ctx); err != nil {
		return nil, err
	}
	return d, nil
}
