package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/embedded"
	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// node is a full node, built from this tree.
type node struct {
	dir     string
	program string   // its file
	env     []string // beside what the benchmark has itself
	cmd     *exec.Cmd
	address map[string]string // where a service listens, by its key in the configuration
}

func (*node) name() string { return "Posthouse" }

// password is that of every account of every server.
const password = "pw"

// startNode builds the full node, fills its directory with accounts user0,
// user1, … and starts it, with the mail directory beside the temporary files.
// It serves what services name: sections of the configuration, with "+tls"
// behind those that talk TLS from the first octet.
func startNode(ctx context.Context, accounts int, services ...string) (*node, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	n := &node{dir: dir, address: map[string]string{}}
	if n.program, err = buildExample(ctx, dir, "fullnode"); err != nil {
		return nil, err
	}
	if err := n.makeAccounts(ctx, accounts); err != nil {
		return nil, err
	}
	config := "log_level = \"ERROR\"\n"
	for _, s := range []string{"smtp", "submission", "lmtp", "imap", "pop3", "http"} {
		config += fmt.Sprintf("[%s]\nmax_connections = 0\npeer_max_connections = 0\n", s)
		for key, service := range map[string]string{"listen": s, "listen_tls": s + "+tls"} {
			if !slices.Contains(services, service) {
				config += key + " = []\n"
				continue
			}
			port, err := realtest.FreePort()
			if err != nil {
				return nil, err
			}
			n.address[service] = fmt.Sprintf("127.0.0.1:%d", port)
			config += fmt.Sprintf("%s = [%q]\n", key, n.address[service])
		}
	}
	if err := os.WriteFile(n.file("config.toml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	return n, n.start()
}

func (n *node) file(name string) string { return filepath.Join(n.dir, name) }

func (n *node) makeAccounts(ctx context.Context, accounts int) error {
	if err := os.MkdirAll(n.file("data"), 0o700); err != nil {
		return err
	}
	d, err := embedded.Open(n.file("data/directory.jsonl"))
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.AddDomain(ctx, "example.test"); err != nil {
		return err
	}
	hash, err := auth.HashPassword(password)
	if err != nil {
		return err
	}
	for i := range accounts {
		if err := d.AddAccount(ctx, directory.Account{Name: userName(i), Password: hash}); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) start() (err error) {
	n.cmd, err = startReady(n.program, n.env, "-config", n.file("config.toml"), "-data", n.file("data"))
	return err
}

// deliver: the node's 250 says that the message is in its mailbox, durably.
func (n *node) deliver(ctx context.Context, l load) (float64, error) {
	began := time.Now()
	err := send(ctx, n.address["smtp"], "example.test", l)
	return float64(l.messages) / time.Since(began).Seconds(), err
}

// restart ends the process and starts it again over the same data.
func (n *node) restart(context.Context) error {
	endProgram(n.cmd)
	return n.start()
}

func (n *node) stop() {
	endProgram(n.cmd)
	_ = os.RemoveAll(n.dir)
}

// userName is the name of an account. Dovecot leaves the domain out.
func userName(i int) string { return fmt.Sprintf("user%d@example.test", i) }
