package realtest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"
)

// Postfix is a running Postfix that takes mail from loopback.
type Postfix struct {
	SMTP int // port
	dir  string
}

// PostfixRoutes says where a Postfix sends mail: per domain a transport, as
// in "example.test": "lmtp:inet:[127.0.0.1]:2524" or "discard:".
type PostfixRoutes map[string]string

// StartPostfix starts a Postfix. Stop it afterwards.
func StartPostfix(ctx context.Context, routes PostfixRoutes) (*Postfix, error) {
	if os.Getuid() != 0 {
		return nil, errNotRoot
	}
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	p := &Postfix{SMTP: port, dir: dir}
	if err := p.configure(routes); err != nil {
		return nil, err
	}
	if err := run(ctx, "postfix", "-c", filepath.Join(dir, "etc"), "start"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := WaitPort(ctx, port); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log", "maillog"))
		p.Stop()
		return nil, fmt.Errorf("%w\n%s", err, log)
	}
	return p, nil
}

// Stop ends the server and removes its state.
func (p *Postfix) Stop() {
	_ = run(context.Background(), "postfix", "-c", filepath.Join(p.dir, "etc"), "stop")
	_ = os.RemoveAll(p.dir)
}

// Queued returns how many messages have not been delivered yet.
func (p *Postfix) Queued() int {
	n := 0
	for _, q := range []string{"maildrop", "incoming", "active", "deferred"} {
		_ = filepath.WalkDir(filepath.Join(p.dir, "queue", q), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				n++
			}
			return nil
		})
	}
	return n
}

func (p *Postfix) configure(routes PostfixRoutes) error {
	for _, d := range []string{"queue", "data", "log"} {
		if err := os.MkdirAll(filepath.Join(p.dir, d), 0o755); err != nil {
			return err
		}
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	if err := os.Chown(filepath.Join(p.dir, "data"), uid, 0); err != nil {
		return err
	}
	domains, transports := "", ""
	for d, t := range routes {
		domains += " " + d
		transports += fmt.Sprintf(" { %s = %s }", d, t)
	}
	if err := write(p.dir, "etc/main.cf", fmt.Sprintf(postfixMain, p.dir, domains, transports)); err != nil {
		return err
	}
	return write(p.dir, "etc/master.cf", fmt.Sprintf(postfixMaster, p.SMTP))
}

const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = %[1]s/log/maillog
maillog_file_prefixes = %[1]s/log
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = peer.example.test
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
relay_domains =%[2]s
relay_recipient_maps =
transport_maps = inline:{%[3]s }
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
smtpd_client_connection_count_limit = 500
smtpd_peername_lookup = no
disable_dns_lookups = yes
default_process_limit = 200
message_size_limit = 104857600
lmtp_destination_concurrency_limit = 20
lmtp_destination_recipient_limit = 1
`

const postfixMaster = `127.0.0.1:%d inet n - n - 200 smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
lmtp      unix  - - n - - lmtp
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
`
