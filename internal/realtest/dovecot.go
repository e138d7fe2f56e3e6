package realtest

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Dovecot is a running Dovecot with users user0, user1, … and password "pw",
// mailboxes in sdbox.
type Dovecot struct {
	IMAP, POP3, LMTP int // ports
	Sieve            int // ManageSieve's; 0 without DovecotSieve
	IMAPS            int // with TLS from the first octet; of a proxy only
	host             string
	dir              string
	cmd              *exec.Cmd
}

// DovecotExtra is something more that a Dovecot is asked for.
type DovecotExtra int

// The extras.
const (
	DovecotSieve   DovecotExtra = iota // ManageSieve, which needs the packages dovecot-sieve and dovecot-managesieved
	DovecotTrusts                      // what loopback tells of clients is believed
	DovecotTLS                         // STARTTLS and STLS, with the certificate of testcert
	DovecotVerbose                     // more in the log
)

// StartDovecot starts a Dovecot with a number of users. Stop it afterwards.
func StartDovecot(ctx context.Context, users int, extras ...DovecotExtra) (*Dovecot, error) {
	if os.Getuid() != 0 {
		return nil, errNotRoot
	}
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	d := &Dovecot{IMAP: ports[0], POP3: ports[1], LMTP: ports[2], host: "127.0.0.1", dir: dir}
	if slices.Contains(extras, DovecotSieve) {
		d.Sieve = ports[3]
	}
	if err := d.configure(users); err != nil {
		return nil, err
	}
	if err := d.configureExtras(extras); err != nil {
		return nil, err
	}
	if err := d.start(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Dovecot) start(ctx context.Context) error {
	d.cmd = exec.Command("dovecot", "-F", "-c", filepath.Join(d.dir, "dovecot.conf"))
	if err := d.cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, p := range []int{d.IMAP, d.POP3, d.LMTP, d.Sieve} {
		if p == 0 {
			continue
		}
		if err := waitAddress(ctx, net.JoinHostPort(d.host, strconv.Itoa(p))); err != nil {
			log, _ := os.ReadFile(filepath.Join(d.dir, "log"))
			d.Stop()
			return fmt.Errorf("%w\n%s", err, log)
		}
	}
	return nil
}

// RestartCold ends the server, removes what its caches hold of messages
// (dovecot.index.cache), and starts it again.
func (d *Dovecot) RestartCold(ctx context.Context) error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Wait()
	err := filepath.WalkDir(filepath.Join(d.dir, "mail"), func(path string, f fs.DirEntry, err error) error {
		if err == nil && f.Name() == "dovecot.index.cache" {
			return os.Remove(path)
		}
		return err
	})
	if err != nil {
		return err
	}
	return d.start(ctx)
}

// Pid is the process that has started all others.
func (d *Dovecot) Pid() int { return d.cmd.Process.Pid }

// Stop ends the server and removes its state.
func (d *Dovecot) Stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Wait()
	_ = os.RemoveAll(d.dir)
}

func (d *Dovecot) configure(users int) error {
	mail := filepath.Join(d.dir, "mail")
	if err := os.MkdirAll(mail, 0o755); err != nil {
		return err
	}
	if err := os.Chown(mail, 5000, 5000); err != nil {
		return err
	}
	var passwd strings.Builder
	for i := range users {
		fmt.Fprintf(&passwd, "user%d:{PLAIN}pw:5000:5000::%s/user%d::\n", i, mail, i)
	}
	if err := write(d.dir, "users", passwd.String()); err != nil {
		return err
	}
	return write(d.dir, "dovecot.conf", fmt.Sprintf(`
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_username_format = %%Ln
first_valid_uid = 5000
mail_max_userip_connections = 5000
default_process_limit = 500
default_client_limit = 8000
mail_location = sdbox:~/sdbox
mail_fsync = optimized
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%%n %[1]s/users
}
userdb {
  driver = passwd-file
  args = username_format=%%n %[1]s/users
}
namespace inbox {
  inbox = yes
  separator = /
}
service imap-login {
  inet_listener imap {
    port = %[2]d
  }
  inet_listener imaps {
    port = 0
  }
  service_count = 0
  process_min_avail = 2
}
service pop3-login {
  inet_listener pop3 {
    port = %[3]d
  }
  inet_listener pop3s {
    port = 0
  }
  service_count = 0
}
service imap {
  service_count = 1000
}
service pop3 {
  service_count = 1000
}
service lmtp {
  inet_listener lmtp {
    port = %[4]d
  }
  process_limit = 200
}
!include extras.conf
`, d.dir, d.IMAP, d.POP3, d.LMTP))
}
