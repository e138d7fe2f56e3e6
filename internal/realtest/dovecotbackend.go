package realtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// DovecotBackend says what a Dovecot is like that is a back end of a cluster.
type DovecotBackend struct {
	Users   int    // as in StartDovecot; the domain of a name is left out
	Address string // of loopback, to listen on

	IMAP, POP3, LMTP, Sieve, Submission int // ports at Address

	Certificate, Key string   // PEM files, for STARTTLS in all protocols
	Fronts           []string // addresses of front ends, whose word on clients is taken

	// MasterUser may log in for all, with this password; empty: nobody may.
	MasterUser, MasterPassword string
	// RelayHost and RelayPort are where mail goes that is submitted.
	RelayHost string
	RelayPort int
}

// StartDovecotBackend starts a Dovecot with IMAP, POP3, LMTP, ManageSieve and
// submission. Stop it afterwards. It needs Debian's packages dovecot-imapd,
// dovecot-pop3d, dovecot-lmtpd, dovecot-managesieved and dovecot-submissiond.
func StartDovecotBackend(ctx context.Context, b DovecotBackend) (*Dovecot, error) {
	if os.Getuid() != 0 {
		return nil, errNotRoot
	}
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	d := &Dovecot{IMAP: b.IMAP, POP3: b.POP3, LMTP: b.LMTP, Sieve: b.Sieve, host: b.Address, dir: dir}
	if err := d.configure(b.Users); err != nil {
		return nil, err
	}
	master := ""
	if b.MasterUser != "" {
		if err := write(dir, "masters", b.MasterUser+":{PLAIN}"+b.MasterPassword+"\n"); err != nil {
			return nil, err
		}
		master = fmt.Sprintf("passdb {\n  driver = passwd-file\n  master = yes\n  args = %s\n}\n", filepath.Join(dir, "masters"))
	}
	extras := fmt.Sprintf(dovecotBackend, b.Address, b.Certificate, b.Key, strings.Join(b.Fronts, " "), b.RelayHost, b.RelayPort, b.Sieve, b.Submission)
	if err := write(dir, "extras.conf", extras+master); err != nil {
		return nil, err
	}
	if err := d.start(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

const dovecotBackend = `
protocols = $protocols sieve submission
listen = %s
ssl = yes
ssl_cert = <%s
ssl_key = <%s
login_trusted_networks = %s
submission_relay_host = %s
submission_relay_port = %d
protocol lmtp {
  mail_plugins = $mail_plugins sieve
  postmaster_address = postmaster@example.test
}
service managesieve-login {
  inet_listener sieve {
    port = %d
  }
}
service submission-login {
  inet_listener submission {
    port = %d
  }
  inet_listener submissions {
    port = 0
  }
}
`
